"""Language models that the loop can ask, by the ``agent_class`` of a configs/model/*.json."""

from eval_agent.agents.base import CandidateScore, ContextOverflow, LMAgent, ModelError
from eval_agent.agents.fastchat import FastChatAgent
from eval_agent.agents.openai_server import OpenAIAgent
from eval_agent.errors import InputError

__all__ = [
    "CandidateScore", "ContextOverflow", "FastChatAgent", "LMAgent", "ModelError", "OpenAIAgent", "load_agent",
]

_AGENTS = {"FastChatAgent": FastChatAgent, "OpenAIAgent": OpenAIAgent}


def load_agent(agent_config: dict, model_name: str | None, seed: int | None = None) -> LMAgent:
    """The agent of a model configuration; ``model_name`` goes before the configuration's own. It samples by ``seed``.

    Raises InputError for an unknown class or field, a recipe without a chat format, and where no model name is
    given.
    """
    agent_class = agent_config.get("agent_class")
    if agent_class not in _AGENTS:
        raise InputError(f'field "agent_class" is {agent_class!r}, expected one of {", ".join(_AGENTS)}')
    config = dict(agent_config.get("config", {}))
    config["model_name"] = model_name or config.get("model_name")
    if not config["model_name"]:
        raise InputError('no model name: give one on the command line or as config field "model_name"')
    try:
        return _AGENTS[agent_class](**config, recipe=agent_config.get("recipe"), seed=seed)
    except TypeError as error:
        raise InputError(f'{agent_class}: field "config": {error}') from None
