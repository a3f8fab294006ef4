"""Typed, documented fields of what comes from JSON files; a fault is one InputError that a person can act on."""

from pathlib import Path
from typing import Annotated, Any, TypeVar

from pydantic import BaseModel, ConfigDict, StringConstraints, ValidationError

from eval_agent.errors import InputError

Text = Annotated[str, StringConstraints(min_length=1)]


class Fields(BaseModel):
    """What all parts of a config have in common: no other fields than these, and no conversions."""

    model_config = ConfigDict(extra="forbid", frozen=True, strict=True, use_attribute_docstrings=True)


Model = TypeVar("Model", bound=BaseModel)
_KINDS = ("int", "str", "constrained-int", "constrained-str")  # what pydantic calls the members of a union
# pydantic's words where ours are shorter
_EXPECTED = {
    "string_type": "a non-empty string", "string_too_short": "a non-empty string", "int_type": "a whole number",
    "float_type": "a number", "bool_type": "true or false", "dict_type": "an object", "list_type": "a list",
    "model_type": "an object",
}


def validate(model: type[Model], data: dict, where: str | Path) -> Model:
    """``data`` as ``model``. Raises InputError with the first field at fault."""
    try:
        return model.model_validate(data)
    except ValidationError as error:
        raise InputError(f"{where}: {_fault(error, data, model)}") from None


def _fault(error: ValidationError, data: dict, model: type[Fields]) -> str:
    """'field "planner.gamma" is 2, expected less than or equal to 1', of the first field that is wrong."""
    found = [(_field(entry["loc"], data), entry) for entry in error.errors()]
    # of a value that may be of several kinds, what is wrong inside it says more
    field, first = max((pair for pair in found if pair[0].startswith(found[0][0])), key=lambda pair: len(pair[0]))
    if first["type"] == "missing":
        return f'field "{field}" is missing'
    if first["type"] == "extra_forbidden":
        return f'unknown field "{field}", expected {", ".join(_known(model, field.split(".")[:-1]))}'
    if first["type"] == "value_error" and not field:  # of several fields together
        return str(first["ctx"]["error"])
    wanted = dict.fromkeys(_expected(entry) for name, entry in found if name == field)
    return f'field "{field}" is {first["input"]!r}, expected {" or ".join(wanted)}'


def _known(model: type[Fields], sections: list[str]) -> list[str]:
    for name in sections:
        model = model.model_fields[name].annotation
    return [name for name in model.model_fields if name != "name"]


def _expected(entry: dict) -> str:
    if entry["type"] == "value_error":
        return str(entry["ctx"]["error"])
    return _EXPECTED.get(entry["type"], entry["msg"].removeprefix("Input should be "))


def _field(loc: tuple, data: Any) -> str:
    """The dotted name, without what pydantic adds of its own (the members of a union)."""
    names = []
    for part in loc:
        if isinstance(data, dict) and part in data:
            data = data[part]
        elif isinstance(data, list) and isinstance(part, int) and part < len(data):
            data = data[part]
        elif not isinstance(data, dict) or not isinstance(part, str) or "[" in part or part in _KINDS:
            continue
        names.append(str(part))
    return ".".join(names)
