"""The offline stand-in for a language model: knowledge and thoughts by rule, a module for each benchmark.

Each has ``task_knowledge`` and ``state_knowledge`` (as any synthesizer, see eval_agent.knowledge.synthesis) and
``thought``, the reason for an expert's action.
"""

from eval_agent.rules import alfworld, sciworld, webshop

BENCHMARKS = {"alfworld": alfworld, "sciworld": sciworld, "webshop": webshop}
