"""Which chat format a model has and who says so: a recipe, its training run's settings, or FastChat.

A training run leaves its settings in the adapter's folder; without them FastChat goes by the base's path, and where it
knows none, the tokenizer's own chat template ("auto") counts.
"""

from dataclasses import dataclass
from pathlib import Path

from eval_agent.agents.chat_templates import AUTO, CONVERSATIONS, TEMPLATES, ChatTemplate, get_template
from eval_agent.agents.own_template import template_of_base
from eval_agent.config import read_config
from eval_agent.errors import InputError
from eval_agent.files import read_json
from eval_agent.model_folder import find_model

RUN_SETTINGS = "run_settings.json"  # a training run writes it first, into its output folder
OWN_SHA256 = "chat_template_sha256"  # there, for "auto": which text it was
_ROOT = Path(__file__).resolve().parents[2]


@dataclass(frozen=True)
class ChatFormat:
    """``template`` is a name of eval_agent.agents.chat_templates or "auto", None where unknown; ``source`` says it.

    ``sha256`` is the digest of the tokenizer's own chat template where that is meant and known.
    """

    template: str | None
    source: str
    sha256: str | None = None


def recipe_file(recipe: str) -> Path:
    """The file of a recipe that a config names; relative paths start at the repository's root."""
    return _ROOT / recipe


def format_of_recipe(recipe: str) -> ChatFormat:
    """Raises InputError, naming file and field, where a recipe is missing or names no known template.

    A recipe that names a base model and no template means the base's own.
    """
    return _named(recipe_file(recipe), read_config(recipe_file(recipe)))


def template_of_recipe(recipe: str) -> ChatTemplate:
    """The chat format of a recipe; "auto" is read from the tokenizer of its base. Raises InputError."""
    base = base_of_auto(recipe)
    return template_of_base(base) if base else get_template(format_of_recipe(recipe).template)


def base_of_auto(recipe: str) -> str | None:
    """The base whose own chat format a recipe means, a folder or a hub name; None where it names a format.

    Raises InputError.
    """
    if format_of_recipe(recipe).template != AUTO:
        return None
    path = recipe_file(recipe)
    base = read_config(path).get("model_name_or_path")
    if not isinstance(base, str) or not base:
        raise InputError(f'{path}: field "model_name_or_path" is {base!r}, expected the model whose template is meant')
    fault = f'{path}: field "model_name_or_path": no such folder: "{base}"'
    return find_model(base, fault, (Path(), _ROOT))


def check_own(model: str, told: ChatFormat, base: str) -> None:
    """Raise InputError where ``model`` was trained with "auto", and with another chat template than ``base`` has."""
    if told.template != AUTO:
        return
    own = template_of_base(base)
    if told.sha256 != own.sha256:
        raise InputError(
            f"{model}: trained with another chat template ({OWN_SHA256} {str(told.sha256)[:12]}, {told.source}) than "
            f"the one of {base} ({own.sha256[:12]}); serve it over the base that it was trained on, with that tokenizer"
        )


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
    if expected is not None and served.template == expected.template:
        if served.sha256 and expected.sha256 and served.sha256 != expected.sha256:
            raise InputError(
                f'{model}: its chat template ("{AUTO}", sha256 {served.sha256[:12]}, {served.source}) is not the one of '
                f"{expected.source} ({expected.sha256[:12]}); serve one model under one name"
            )
    if expected is not None and served.template != expected.template:
        raise InputError(
            f'{model}: its chat format is "{served.template}" ({served.source}), but "{expected.template}" is '
            f"expected ({expected.source}); serve a model of that format, or name the model's own recipe"
        )
    return served


def _named(path: Path, content: object) -> ChatFormat:
    content = content if isinstance(content, dict) else {}
    template = content.get("template", AUTO if content.get("model_name_or_path") else None)
    if template not in (*TEMPLATES, AUTO):
        known = ", ".join([*TEMPLATES, AUTO])
        raise InputError(f'{path}: field "template" is {template!r}, expected one of {known}')
    return ChatFormat(template, f'"template" in {path}', content.get(OWN_SHA256))
