"""Which chat format a model has and who says so: a recipe, its training run's settings, or FastChat.

A training run leaves its settings in the adapter's folder; without them FastChat goes by the base's path.
"""

from dataclasses import dataclass
from pathlib import Path

from eval_agent.agents.chat_templates import CONVERSATIONS, TEMPLATES
from eval_agent.config import read_config
from eval_agent.errors import InputError
from eval_agent.files import read_json

RUN_SETTINGS = "run_settings.json"  # a training run writes it first, into its output folder
_ROOT = Path(__file__).resolve().parents[2]


@dataclass(frozen=True)
class ChatFormat:
    """``template`` is a name of eval_agent.agents.chat_templates, None where unknown; ``source`` says it."""

    template: str | None
    source: str


def recipe_file(recipe: str) -> Path:
    """The file of a recipe that a config names; relative paths start at the repository's root."""
    return _ROOT / recipe


def format_of_recipe(recipe: str) -> ChatFormat:
    """Raises InputError, naming file and field, where a recipe is missing or names no known template."""
    return _named(recipe_file(recipe), read_config(recipe_file(recipe)))


def run_settings_of(folder: str | Path) -> Path | None:
    """The settings of the training run that wrote ``folder``: its output folder or a checkpoint-N."""
    folder = Path(folder).resolve()
    places = [folder, folder.parent] if folder.name.startswith("checkpoint-") else [folder]
    return next((place / RUN_SETTINGS for place in places if (place / RUN_SETTINGS).is_file()), None)


def format_of_run(folder: str | Path) -> ChatFormat | None:
    """What the model in ``folder`` was trained with; None where no training run of ours wrote it.

    Raises InputError, naming file and field, where the run's settings name no known template.
    """
    settings = run_settings_of(folder)
    return None if settings is None else _named(settings, read_json(settings))


def format_of_conversation(name: str) -> ChatFormat:
    """The format of FastChat's conversation template ``name``; unknown where it has no counterpart here."""
    return ChatFormat(CONVERSATIONS.get(name), f'FastChat\'s conversation template "{name}"')


def agree(model: str, served: ChatFormat, expected: ChatFormat | None) -> ChatFormat:
    """The format of ``model`` from what its server tells and what else is known of it.

    Raises InputError where the two differ, naming both sources, and where the format stays unknown.
    """
    if served.template is None and expected is None:
        raise InputError(
            f"{model}: nothing says its chat format ({served.source} is no help); name the recipe that it was "
            'trained with in the model config, such as "recipe": "configs/train/mistral.json"'
        )
    if served.template is None:
        return expected
    if expected is not None and served.template != expected.template:
        raise InputError(
            f'{model}: its chat format is "{served.template}" ({served.source}), but "{expected.template}" is '
            f"expected ({expected.source}); serve a model of that format, or name the model's own recipe"
        )
    return served


def _named(path: Path, content: object) -> ChatFormat:
    template = content.get("template") if isinstance(content, dict) else None
    if template not in TEMPLATES:
        known = ", ".join(TEMPLATES)
        raise InputError(f'{path}: field "template" is {template!r}, expected one of {known}')
    return ChatFormat(template, f'"template" in {path}')
