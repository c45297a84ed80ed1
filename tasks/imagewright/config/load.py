"""The settings of a repository: command line > environment > config/images.yml > defaults."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from imagewright.errors import ConfigError

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    from imagewright.config.document import Document
    from imagewright.config.models import Settings

FILE = "config/images.yml"


def load(root: Path, environ: Mapping[str, str]) -> Settings:
    """The settings that the file below `root` and the variables `IMAGEWRIGHT_*` of `environ` give.

    No file means the defaults. ConfigError lists every problem, with `config/images.yml:LINE` or `environment NAME`.
    """
    return load_bytes(content(root), environ)


def content(root: Path) -> bytes | None:
    """The file below `root` as it is, None where there is none; ConfigError where it cannot be read."""
    path = root / FILE
    try:
        return path.read_bytes()
    except FileNotFoundError:
        return None
    except (IsADirectoryError, NotADirectoryError) as error:
        hint = "move the folder away, and write a file" if path.is_dir() else "`config` must be a folder"
        raise ConfigError("this is no file", where=FILE, hint=hint) from error
    except OSError as error:
        raise ConfigError(f"cannot be read: {error.strerror}", where=FILE) from error


def load_bytes(data: bytes | None, environ: Mapping[str, str]) -> Settings:
    """The same for the file's content; None is no file."""
    from imagewright.config.environment import overlay
    from imagewright.config.models import Settings
    from imagewright.config.problems import combined
    from imagewright.config.validate import validate

    document = None if data is None else _parse(data)
    lines = document.line if document else lambda _: 1
    values, sources, problems = overlay(document.value if document else None, environ)

    def where(path: tuple[str | int, ...]) -> str:
        source = next((name for of, name in sources.items() if path[: len(of)] == of), None)
        return f"environment {source}" if source else f"{FILE}:{lines(path)}"

    result = validate(values, where)
    in_file = [*(document.problems if document else ()), *(result if isinstance(result, list) else ())]
    if problems or not isinstance(result, Settings) or in_file:
        raise combined([*sorted(in_file, key=_place), *problems])
    return result


def _parse(data: bytes) -> Document:
    try:
        text = data.decode()
    except UnicodeDecodeError as error:
        line = data.count(b"\n", 0, error.start) + 1
        raise ConfigError("this is not UTF-8", where=f"{FILE}:{line}", hint="save the file as UTF-8") from error
    from imagewright.config.document import parse

    return parse(text, FILE)


def _place(problem: ConfigError) -> tuple[bool, int]:
    """Problems of the file first, by line."""
    found = re.fullmatch(rf"{re.escape(FILE)}:(\d+)", problem.where or "")
    return (found is None, int(found[1]) if found else 0)
