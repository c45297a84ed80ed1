"""Settings kept between runs as plain values: a command that changes nothing need not load the models again.

One JSON file, by the configuration's content and environment. It is only ever a shortcut: broken, or not writable, it
is as if it were not there. A second one comes with this package, and has the defaults.
"""

from __future__ import annotations

import hashlib
import json
import os
from contextlib import suppress
from pathlib import Path
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any, cast

from imagewright.config.load import content, load_bytes

if TYPE_CHECKING:
    from collections.abc import Mapping

    from imagewright.config.models import Settings

DEFAULTS = Path(__file__).with_name("defaults.json")
"""The settings where there is neither a file nor a variable; made by `python -m imagewright.config.schema --write`."""

_KEPT = 50
# What is no setting (`config.environment`, RESERVED): and a file is no place for a password's digest.
_NO_SETTINGS = ("IMAGEWRIGHT_LOGIN_", "IMAGEWRIGHT_CACHE_DIR", "IMAGEWRIGHT_STATE_DIR")


def remembered(root: Path, environ: Mapping[str, str], memory: Path) -> Settings:
    """What `load` gives, to be read and not to be copied: on a second call it is no model. ConfigError as `load`."""
    data = content(root)
    key = _key(data, environ)
    if key == _key(None, {}):
        with suppress(KeyError, TypeError, ValueError):
            return cast("Settings", _plain(_load(DEFAULTS)[key]))
    known = _load(memory)
    with suppress(KeyError, TypeError, ValueError):
        return cast("Settings", _plain(known[key]))
    settings = load_bytes(data, environ)
    kept = {**dict(list(known.items())[-_KEPT:]), key: _tagged(settings)}
    with suppress(OSError):
        memory.parent.mkdir(parents=True, exist_ok=True)
        unfinished = memory.with_name(f"{memory.name}.{os.getpid()}")
        unfinished.write_text(json.dumps(kept), encoding="utf-8")
        unfinished.replace(memory)
    return settings


def defaults() -> str:
    """What DEFAULTS should have in it: it counts only while the models are those that it was made from."""
    return json.dumps({_key(None, {}): _tagged(load_bytes(None, {}))}, indent=2) + "\n"


def _key(data: bytes | None, environ: Mapping[str, str]) -> str:
    # the models' own text stands for their version: a default that changes makes other settings of the same file
    models = b"".join(file.read_bytes() for file in sorted(Path(__file__).parent.glob("*models.py")))
    given = sorted(
        (name, value)
        for name, value in environ.items()
        if name.startswith("IMAGEWRIGHT_") and not name.startswith(_NO_SETTINGS)
    )
    hashed = hashlib.sha256(models + json.dumps(given).encode() + b"\0")
    hashed.update(b"no file" if data is None else b"file\0" + data)
    return hashed.hexdigest()


def _tagged(value: Any) -> Any:
    """Sections, mappings and lists told apart, as JSON does not."""
    from pydantic import BaseModel

    if isinstance(value, BaseModel):
        return ["section", {name: _tagged(getattr(value, name)) for name in type(value).model_fields}]
    if isinstance(value, dict):
        return ["mapping", {name: _tagged(item) for name, item in value.items()}]
    if isinstance(value, tuple):
        return ["list", [_tagged(item) for item in value]]
    return value


def _plain(value: Any) -> Any:
    if not isinstance(value, list):
        return value
    kind, inner = value
    if kind == "list":
        return tuple(_plain(item) for item in inner)
    items = {name: _plain(item) for name, item in inner.items()}
    return SimpleNamespace(**items) if kind == "section" else items


def _load(memory: Path) -> dict[str, Any]:
    try:
        found = json.loads(memory.read_bytes())
    except (OSError, ValueError):
        return {}
    return found if isinstance(found, dict) else {}
