"""Templates: Jinja2 in its sandbox, where an undefined variable is an error with file and line.

A line that holds nothing but a block (`{% if %}`) leaves nothing behind (trim_blocks, lstrip_blocks), and the newline
at the end stays. There is no clock and no chance in it: the same files give the same bytes.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any

from jinja2 import (
    FunctionLoader,
    StrictUndefined,
    Template,
    TemplateError,
    TemplateNotFound,
    TemplateRuntimeError,
    TemplateSyntaxError,
    Undefined,
)
from jinja2.loaders import split_template_path
from jinja2.sandbox import ImmutableSandboxedEnvironment

from imagewright.config.problems import near
from imagewright.errors import DockerfileError

if TYPE_CHECKING:
    from types import TracebackType

_UNDEFINED = re.compile(r"'([^']+)' is undefined")
_ATTRIBUTE = re.compile(r"'[^']+' has no attribute '([^']+)'")
_PLAIN = (str, int, float)
_HINTS = {
    "base": "`extends` in image.yml says what the image is built on",
    "parent": "only a variant has a parent: the same tag without it",
}


class _Environment(ImmutableSandboxedEnvironment):
    """Jinja's, which remembers the templates that were asked for: the first one, and what it includes or extends."""

    used: dict[str, None]

    def get_template(self, name: Any, *args: Any, **kwargs: Any) -> Template:
        self.used[str(name)] = None
        return super().get_template(name, *args, **kwargs)

    def select_template(self, names: Any, *args: Any, **kwargs: Any) -> Template:
        self.used |= dict.fromkeys(map(str, names))
        return super().select_template(names, *args, **kwargs)


class Renderer:
    """The templates of one family: those in its folder, and in the folder above, which families share."""

    def __init__(self, folder: str, content: Callable[[str], bytes | None]) -> None:
        """Paths are relative to the repository root, which is ""; `content` gives None where there is no file."""
        above = folder.rpartition("/")[0]
        self._folders = tuple(dict.fromkeys((folder, above)))
        self._content = content
        self._environment = _Environment(
            loader=FunctionLoader(self._load),
            undefined=StrictUndefined,
            keep_trailing_newline=True,
            trim_blocks=True,
            lstrip_blocks=True,
            auto_reload=False,
            cache_size=-1,
            finalize=_finalized,
        )
        for names, chancy in (
            (self._environment.globals, ("lipsum",)),
            (self._environment.filters, ("random",)),
        ):
            for name in chancy:
                names.pop(name, None)

    def path_of(self, name: str) -> str | None:
        """The file that a template's name means: relative to the family's folder, or to the one above."""
        for path in self._paths(name):
            if self._content(path) is not None:
                return path
        return None

    def missing(self, name: str) -> str:
        """What is wrong with the name of a template that is not there."""
        paths = self._paths(name)
        if not paths:
            return f"there is no template `{name}`: it would lie outside of the families' folder"
        return f"there is no template `{name}`, neither {' nor '.join(paths)}"

    def render(self, name: str, values: Mapping[str, Any]) -> tuple[str, tuple[str, ...]]:
        """The text that a template gives, and the files it was made from; DockerfileError with file and line."""
        self._environment.used = {}
        try:
            text = self._environment.get_template(name).render(values)
            return text, tuple(path for one in self._environment.used if (path := self.path_of(one)))
        except Exception as error:  # a template can raise what any code can
            raise self._told(name, error, values) from error

    def _paths(self, name: str) -> tuple[str, ...]:
        try:
            parts = split_template_path(name)
        except TemplateNotFound:  # `..`
            return ()
        return tuple("/".join([*([folder] if folder else []), *parts]) for folder in self._folders)

    def _load(self, name: str) -> tuple[str, str, None] | None:
        path = self.path_of(name)
        if path is None:
            return None
        data = self._content(path) or b""
        try:
            return data.decode(), path, None
        except UnicodeDecodeError as error:
            line = data.count(b"\n", 0, error.start) + 1
            raise DockerfileError("this is not UTF-8", where=f"{path}:{line}", hint="save the file as UTF-8") from error

    def _told(self, name: str, error: Exception, values: Mapping[str, Any]) -> DockerfileError:
        where = self._where(name, error)
        if isinstance(error, DockerfileError) and error.where:
            return error
        if isinstance(error, TemplateNotFound):
            return DockerfileError(self.missing(str(error.name)), where=where)
        if isinstance(error, TemplateSyntaxError):
            return DockerfileError(f"the template cannot be read: {error.message}", where=where)
        message = str(getattr(error, "message", None) or error)
        hint = getattr(error, "hint", None)
        if found := _UNDEFINED.search(message):
            word = found[1]
            message = f"`{word}` is not defined"
            hint = _HINTS.get(word) or near(word, values) or "`variables` or `versions` in image.yml define it"
        elif found := _ATTRIBUTE.search(message):
            message = f"`{found[1]}` is not defined"
            inner = {key for value in values.values() if isinstance(value, dict) for key in value}
            hint = near(found[1], inner)
        elif not isinstance(error, TemplateError) and not hasattr(error, "hint"):
            message = f"the template fails: {type(error).__name__}: {message}"
        return DockerfileError(message, where=where, hint=hint)

    def _where(self, name: str, error: Exception) -> str:
        if isinstance(error, TemplateSyntaxError):
            return f"{error.filename or name}:{error.lineno}"
        # Jinja puts the templates' own lines into the traceback; the innermost one is meant
        line: str | None = None
        step: TracebackType | None = error.__traceback__
        files = {path for path in (self.path_of(one) for one in self._known()) if path}
        while step is not None:
            if step.tb_frame.f_code.co_filename in files:
                line = f"{step.tb_frame.f_code.co_filename}:{step.tb_lineno}"
            step = step.tb_next
        return line or self.path_of(name) or name

    def _known(self) -> set[str]:
        cache = self._environment.cache
        return {str(key[1]) for key in cache} if cache is not None else set()


def _finalized(value: Any) -> Any:
    """What may stand in a text; TemplateRuntimeError for what would be printed as Python writes it."""
    if isinstance(value, (*_PLAIN, Undefined)):
        return value
    if isinstance(value, (list, tuple, dict)):
        raise TemplateRuntimeError(
            "a list or a mapping cannot stand in the text: `| join(' ')` or `| tojson` makes it one"
        )
    raise TemplateRuntimeError("this cannot stand in the text: it has no value")
