"""Language models that the loop can ask, by the ``agent_class`` of a configs/model/*.json."""

from importlib import import_module

from eval_agent.agents.base import CandidateScore, ContextOverflow, LMAgent, ModelError
from eval_agent.config import ModelConfig
from eval_agent.errors import InputError

__all__ = ["CandidateScore", "ContextOverflow", "LMAgent", "ModelError", "load_agent"]

# imported where one is asked for: a machine that only trains has neither FastChat nor openai
_AGENTS = {"FastChatAgent": "fastchat", "OpenAIAgent": "openai"}


def load_agent(model_config: ModelConfig, model_name: str | None, seed: int | None = None) -> LMAgent:
    """The agent of a model config; ``model_name`` goes before the config's own. It samples by ``seed``.

    Raises InputError for an unknown field of "config", a recipe without a chat format, and where no model name is
    given.
    """
    name = model_name or model_config.config.get("model_name")
    if not name:
        raise InputError('no model name: give one on the command line or as config field "model_name"')
    module = import_module(f"{__name__}.{_AGENTS[model_config.agent_class]}")
    config = {**model_config.config, "model_name": name}
    try:
        return getattr(module, model_config.agent_class)(**config, recipe=model_config.recipe, seed=seed)
    except TypeError as error:
        raise InputError(f'{model_config.agent_class}: field "config": {error}') from None
