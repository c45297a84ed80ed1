"""Every key of the file, read from the models: what the hints, the environment and the reference are made from."""

from __future__ import annotations

from dataclasses import dataclass
from types import NoneType, UnionType
from typing import TYPE_CHECKING, Annotated, Any, Literal, Union, get_args, get_origin

from pydantic import BaseModel
from pydantic_core import PydanticUndefined

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from pydantic.fields import FieldInfo

ANY_NAME = "<name>"
ANY_ITEM = "[]"

_SCALARS = {str: "text", int: "whole number", float: "number", bool: "`true` or `false`"}


@dataclass(frozen=True, slots=True)
class Key:
    """A key of the file. In `path`, ANY_NAME stands for a name that the user gives, ANY_ITEM for a list's item."""

    path: tuple[str, ...]
    type: str
    """In words, for people."""
    default: Any
    required: bool
    description: str
    is_section: bool
    is_scalar: bool
    is_list: bool
    """Whether it is a list of scalars."""

    @property
    def label(self) -> str:
        """As the reference and the messages write it: `images.<name>.secrets[].id`."""
        return label(self.path)


def label(path: Sequence[str | int]) -> str:
    """A path in words: `images.app.secrets[0].id`."""
    text = ""
    for part in path:
        if part == ANY_ITEM:
            text += ANY_ITEM
        elif isinstance(part, int):
            text += f"[{part}]"
        else:
            text += f".{part}" if text else part
    return text


def keys(model: type[BaseModel], above: tuple[str, ...] = ()) -> Iterator[Key]:
    """Every key of the model and of the sections in it, in the order of the fields, each section after its key."""
    for name, info in model.model_fields.items():
        path = (*above, name)
        sections = list(_sections(info.annotation))
        described = _type(info.annotation) + _limits(info)
        yield Key(
            path=path,
            type=described,
            default=None if info.default is PydanticUndefined else info.default,
            required=info.is_required(),
            description=info.description or "",
            is_section=any(not suffix for _, suffix in sections),
            is_scalar=_is_scalar(info.annotation),
            is_list=_is_list(info.annotation),
        )
        for section, suffix in sections:
            yield from keys(section, (*path, *suffix))


def siblings(model: type[BaseModel], path: Sequence[str | int]) -> list[str]:
    """The keys that may stand where the last part of `path` stands; empty where names are free."""
    return [
        key.path[-1]
        for key in keys(model)
        if len(key.path) == len(path) and all(_fits(*pair) for pair in zip(key.path[:-1], path[:-1], strict=True))
    ]


def _fits(pattern: str, part: str | int) -> bool:
    return pattern in (part, ANY_NAME) if isinstance(part, str) else pattern == ANY_ITEM


def _members(annotation: Any) -> tuple[Any, ...]:
    """The types that a value may have, without None."""
    if get_origin(annotation) in (Union, UnionType):
        return tuple(inner for arg in get_args(annotation) if arg is not NoneType for inner in _members(arg))
    if get_origin(annotation) is Annotated:
        return _members(get_args(annotation)[0])
    return (annotation,)


def _sections(annotation: Any) -> Iterator[tuple[type[BaseModel], tuple[str, ...]]]:
    for member in _members(annotation):
        if isinstance(member, type) and issubclass(member, BaseModel):
            yield member, ()
        elif get_origin(member) is dict:
            for section, suffix in _sections(get_args(member)[1]):
                yield section, (ANY_NAME, *suffix)
        elif get_origin(member) is tuple:
            for section, suffix in _sections(get_args(member)[0]):
                yield section, (ANY_ITEM, *suffix)


def _is_scalar(annotation: Any) -> bool:
    return all(member in _SCALARS or get_origin(member) is Literal for member in _members(annotation))


def _is_list(annotation: Any) -> bool:
    return any(get_origin(member) is tuple and _is_scalar(get_args(member)[0]) for member in _members(annotation))


def _type(annotation: Any) -> str:
    return " or ".join(dict.fromkeys(_type_of_member(member) for member in _members(annotation)))


def _type_of_member(member: Any) -> str:
    origin, arguments = get_origin(member), get_args(member)
    if origin is Literal:
        return " or ".join(f"`{value}`" for value in arguments)
    if origin is tuple:
        items = _type(arguments[0])
        return f"list of {items}" if "`" in items else f"list of {items}s"
    if origin is dict:
        return f"mapping of names to {_type(arguments[1])}s"
    return _SCALARS.get(member, "section")


def _limits(info: FieldInfo) -> str:
    low = next((item.ge for item in info.metadata if hasattr(item, "ge")), None)
    high = next((item.le for item in info.metadata if hasattr(item, "le")), None)
    if low is not None and high is not None:
        return f", {low} to {high}"
    if low is not None:
        return f", at least {low}"
    return f", at most {high}" if high is not None else ""
