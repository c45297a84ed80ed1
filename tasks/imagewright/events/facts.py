"""Values taken out of the environment and an event file, each with the place that it came from."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from imagewright.events.event import is_full_id, is_zero_id


class MalformedEventError(Exception):
    """The environment or the event file contradicts its own format; the text says where."""


class Facts:
    """A reader that remembers in `origins` what it was asked for, and where the answer stood.

    An empty variable, an absent key and null are None. A value of the wrong type raises MalformedEventError.
    """

    def __init__(self, environ: Mapping[str, str], payload: Mapping[str, Any] | None = None) -> None:
        self.origins: dict[str, str] = {}
        self._environ = environ
        self._payload = payload or {}

    def variable(self, field: str, name: str) -> str | None:
        """The environment's variable `name`."""
        value = self._environ.get(name) or None
        if value:
            self.origins[field] = name
        return value

    def commit_variable(self, field: str, name: str) -> str | None:
        """A commit in the environment; None for zeros."""
        return self._commit(field, name, self._environ.get(name) or None)

    def text(self, field: str, *keys: str) -> str | None:
        """A text in the event file."""
        value = self.value(*keys)
        if value is None or value == "":
            return None
        if not isinstance(value, str):
            raise MalformedEventError(f"{_named(keys)} is no text")
        self.origins[field] = _named(keys)
        return value

    def commit(self, field: str, *keys: str) -> str | None:
        """A commit in the event file; None for zeros."""
        return self._commit(field, _named(keys), self.value(*keys))

    def flag(self, field: str, *keys: str) -> bool:
        """A truth in the event file; absent is False."""
        value = self.value(*keys)
        if value is None:
            return False
        if not isinstance(value, bool):
            raise MalformedEventError(f"{_named(keys)} is neither true nor false")
        self.origins[field] = _named(keys)
        return value

    def number(self, field: str, *keys: str) -> int | None:
        """A whole number in the event file."""
        value = self.value(*keys)
        if value is None:
            return None
        if not isinstance(value, int) or isinstance(value, bool):
            raise MalformedEventError(f"{_named(keys)} is no number")
        self.origins[field] = _named(keys)
        return value

    def number_variable(self, field: str, name: str) -> int | None:
        """A whole number in the environment."""
        value = self.variable(field, name)
        if value is None:
            return None
        if not (value.isascii() and value.isdigit()):
            raise MalformedEventError(f"{name} is no number")
        return int(value)

    def value(self, *keys: str) -> Any:
        """Whatever stands in the event file below these keys; None where one is absent."""
        found: Any = self._payload
        for key in keys:
            if found is None:
                return None
            if not isinstance(found, Mapping):
                raise MalformedEventError(f"{_named(keys)} is not there")
            found = found.get(key)
        return found

    def _commit(self, field: str, where: str, value: Any) -> str | None:
        if value is None:
            return None
        if not isinstance(value, str) or not (is_full_id(value) or is_zero_id(value)):
            raise MalformedEventError(f"{where} is no commit id")
        if is_zero_id(value):
            return None
        self.origins[field] = where
        return value


def _named(keys: tuple[str, ...]) -> str:
    return f"the event file's {'.'.join(keys)}"
