"""What scripts/serve.sh asks: which models the controller has, and whether their workers answer."""

import subprocess
import sys

import pytest

from tests.eval_agent.serving import free_port


def status(address, *names, flag="--controller_address"):
    command = [sys.executable, "-m", "eval_agent.serve.status", *names, flag, address]
    done = subprocess.run(command, capture_output=True, text=True)
    return done.returncode, done.stdout.strip()


def test_served_models_are_found_and_missing_ones_named(served):
    code, text = status(served.controller, "agent_model", "world_model", "base")
    assert (code, text) == (0, f"{served.controller} serves agent_model, world_model, base")
    code, text = status(served.controller, "agent_model", "nobody")
    assert (code, text) == (1, f"{served.controller} does not serve nobody")


@pytest.mark.parametrize("workers, code", [("1", 0), ("2", 1)])
def test_as_many_workers_as_asked_for_have_to_answer(served, workers, code):
    assert status(served.controller, "agent_model", "--workers", workers)[0] == code


def test_without_a_controller_the_code_tells(served):
    code, text = status(f"http://127.0.0.1:{free_port()}", "agent_model")
    assert code == 3 and text.startswith("no controller answers at ")


def test_an_openai_compatible_server_is_asked_for_its_list(serve):
    address = serve(lambda messages: "").address  # it has "tiny"
    assert status(address, "tiny", flag="--api_base") == (0, f"{address} serves tiny")
    assert status(address, "tiny", "agent_model", flag="--api_base") == (1, f"{address} does not serve agent_model")
    nowhere = f"http://127.0.0.1:{free_port()}/v1"
    assert status(nowhere, "tiny", flag="--api_base") == (3, f"no server answers at {nowhere}")
