"""The JSON Schema of config/images.yml and its reference, docs/configuration.md, both made from the models.

`python -m imagewright.config.schema --write` renews the two committed files, and the defaults as plain values.
"""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

from pydantic import BaseModel

from imagewright.config.environment import RESERVED, variables
from imagewright.config.keys import Key, keys, label
from imagewright.config.models import Settings
from imagewright.config.remembered import DEFAULTS, defaults

if TYPE_CHECKING:
    from collections.abc import Iterator

_HERE = Path(__file__).parent
SCHEMA_FILE = _HERE / "schema.json"
EXAMPLE_FILE = _HERE / "example.yml"

_INTRODUCTION = """\
# Configuration: config/images.yml

<!-- Made by `python -m imagewright.config.schema --write`: change the models, not this page. -->

Every key is optional, and so is the file: without it each `Dockerfiles/Dockerfile.<name>` is built as
`localhost:5050/<name>` for the host's platform.
"""

_RULES = """\
## What wins

The command line wins over the environment, the environment over the file, the file over the defaults. A list replaces
a list: nothing is appended.

## How the file is read

- UTF-8, one YAML document. Anchors, aliases and `<<` work; a key that stands twice is an error.
- A text is taken exactly as written: `version: 2025.10` stays `2025.10`, `DEBUG: no` stays `no`, without quotes.
- A key without a value (`builder:`) means its default. In a mapping of texts, write `""` for the empty text.
- A key that does not exist is an error. Every error names its line, and all of them are listed at once.
- `<name>` below stands for a name that you choose, `[]` for each item of a list.

An editor that knows JSON Schema completes and checks the file with
[schema.json](../tasks/imagewright/config/schema.json).
"""

_ENVIRONMENT = """\
## Environment

A list is separated by commas. An empty variable counts as not set. Any other variable that begins with `IMAGEWRIGHT_`
is an error.
"""


def schema() -> dict[str, Any]:
    """The JSON Schema (draft 2020-12) of the file."""
    generated = _as_written(Settings.model_json_schema())
    return {"$schema": "https://json-schema.org/draft/2020-12/schema", **generated, "title": "config/images.yml"}


def reference() -> str:
    """docs/configuration.md: an example, what wins, every key, every variable."""
    example = EXAMPLE_FILE.read_text(encoding="utf-8")
    parts = [_INTRODUCTION, f"```yaml\n{example}```\n", _RULES, "\n".join(_key_tables()), _ENVIRONMENT, _environment()]
    return "\n".join(parts)


def _as_written(node: Any) -> Any:
    """The same schema, for texts that need no quotes: `2025.10` is a number to YAML, and a text to this package."""
    if isinstance(node, list):
        return [_as_written(item) for item in node]
    if not isinstance(node, dict):
        return node
    changed = {key: _as_written(value) for key, value in node.items()}
    if changed.get("type") == "string" and not changed.keys() & {"enum", "const", "pattern"}:
        changed["type"] = ["string", "number", "boolean"]
    return changed


def _key_tables() -> Iterator[str]:
    """A table for the top level and one for each section, each key once."""
    tables: dict[str, list[Key]] = {}
    for key in keys(Settings):
        tables.setdefault(label(key.path[:-1]), []).append(key)
    for section, members in tables.items():
        yield f"## `{section}`\n" if section else "## Keys\n"
        yield "| Key | Type | Default | Meaning |\n|---|---|---|---|"
        for key in members:
            yield f"| `{key.path[-1]}` | {key.type} | {_default(key)} | {_cell(key.description)} |"
        yield ""


def _environment() -> str:
    rows = ["| Variable | Meaning |", "|---|---|"]
    rows += [f"| `{name}` | `{key.label}` |" for name, key in variables().items()]
    rows += [f"| `{name}` | {_cell(meaning)} |" for name, meaning in RESERVED.items()]
    return "\n".join(rows) + "\n"


def _default(key: Key) -> str:
    if key.required:
        return "must be given"
    if key.default in (None, (), {}) or isinstance(key.default, BaseModel):
        return ""
    return f"`{json.dumps(key.default)}`" if not isinstance(key.default, str) else f"`{key.default}`"


def _cell(text: str) -> str:
    return text.replace("|", "\\|")


def main(arguments: list[str]) -> None:
    """Print the schema, or with `--write` renew the committed files of this checkout."""
    text = json.dumps(schema(), indent=2, ensure_ascii=False) + "\n"
    if arguments != ["--write"]:
        sys.stdout.write(text)
        return
    SCHEMA_FILE.write_text(text, encoding="utf-8")
    DEFAULTS.write_text(defaults(), encoding="utf-8")
    (_HERE.parents[2] / "docs/configuration.md").write_text(reference(), encoding="utf-8")


if __name__ == "__main__":
    main(sys.argv[1:])
