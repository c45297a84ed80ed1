"""Values against the models: settings, or every problem in words that a person can act on."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, TypeVar

from pydantic import BaseModel, ValidationError

from imagewright.config.keys import label, siblings
from imagewright.config.models import Settings
from imagewright.config.problems import listed, near
from imagewright.errors import ConfigError

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from pydantic_core import ErrorDetails

_MUST_BE: Mapping[str, str] = {
    "string_type": "a text",
    "int_parsing": "a whole number",
    "int_parsing_size": "a whole number",
    "int_type": "a whole number",
    "int_from_float": "a whole number",
    "float_parsing": "a number",
    "float_type": "a number",
    "bool_parsing": "`true` or `false`",
    "bool_type": "`true` or `false`",
    "tuple_type": "a list",
    "dict_type": "a mapping",
    "model_type": "a mapping",
}
_HOW: Mapping[str, str] = {
    "string_type": "put quotes round a text that begins with `{` or `[`",
    "tuple_type": "write a list as `[one, two]`, or one item a line after `- `",
    "dict_type": "write each key as `key: value`, indented, one a line",
    "model_type": "write each key as `key: value`, indented, one a line",
}


_Model = TypeVar("_Model", bound=BaseModel)


def validate(values: Any, where: Callable[[tuple[str | int, ...]], str]) -> Settings | list[ConfigError]:
    """The settings, or all problems; `where` says for a path of keys where it was written."""
    return validate_as(Settings, values, where)


def validate_as(
    model: type[_Model], values: Any, where: Callable[[tuple[str | int, ...]], str]
) -> _Model | list[ConfigError]:
    """The same for another file's model."""
    try:
        return model.model_validate(values)
    except ValidationError as error:
        return [
            _problem(details, where(details["loc"]), model)
            for details in error.errors(include_url=False)
            # A list whose items are all wrong counts as empty, too.
            if not (details["type"] == "too_short" and details["input"])
        ]


def _problem(details: ErrorDetails, where: str, model: type[BaseModel]) -> ConfigError:
    path, kind, found = details["loc"], details["type"], details["input"]
    context: Mapping[str, Any] = details.get("ctx", {})
    key = f"`{label(path)}`" if path else "the file"
    if kind == "extra_forbidden":
        known = siblings(model, path)
        hint = near(str(path[-1]), known) or (f"known keys: {listed(known)}" if known else None)
        return ConfigError(f"unknown key {key}", where=where, hint=hint)
    if kind == "missing":
        return ConfigError(f"{key} is missing", where=where)
    if kind == "value_error":
        said = str(context["error"])
        return ConfigError(f"{key} {said}" if said.startswith("must ") else f"{key}: {said}", where=where)
    if expected := _MUST_BE.get(kind):
        # What was found is shown only where a number or a word was wanted: a longer text may hold a secret.
        hint = '"" is the empty text' if kind == "string_type" and found is None else _HOW.get(kind)
        return ConfigError(f"{key} must be {expected}, not {_found(found, kind not in _HOW)}", where=where, hint=hint)
    if kind in {"greater_than_equal", "less_than_equal"}:
        limit = f"at least {context['ge']}" if "ge" in context else f"at most {context['le']}"
        return ConfigError(f"{key} must be {limit}, not {_found(found, True)}", where=where)
    if kind == "too_short":
        return ConfigError(f"{key} must not be empty", where=where)
    if kind == "literal_error":
        return ConfigError(f"{key} must be {context['expected']}, not {_found(found, True)}", where=where)
    return ConfigError(f"{key}: {details['msg'].replace('Input should', 'must')}", where=where)


def _found(value: object, show: bool) -> str:
    if value is None:
        return "nothing"
    if isinstance(value, dict):
        return "a mapping"
    if isinstance(value, (list, tuple)):
        return "a list"
    return f"`{value}`" if show else "a text"
