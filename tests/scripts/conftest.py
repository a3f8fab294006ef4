"""The toy paper, for the script that plays it."""

from tests.eval_agent.toy_paper import toy_paper  # noqa: F401  a fixture
