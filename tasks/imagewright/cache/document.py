"""BuildKit's cache manifest (cache/remotecache/v1/types, CacheConfig): a JSON object whose layers name blobs."""

from __future__ import annotations

import json
import re
from typing import Any, Literal

_DIGEST = re.compile(r"[a-z0-9]+(?:[.+_-][a-z0-9]+)*:[0-9a-f]{32,}")
_OF_TOP = {"layers", "records"}
_OF_LAYER = {"blob", "parent", "annotations"}


class UnreadableError(ValueError):
    """What it needs cannot be told. `kind`: no manifest at all, or one of a form that is not known here."""

    def __init__(self, kind: Literal["damaged", "unknown form"], reason: str) -> None:
        super().__init__(reason)
        self.kind = kind


def read_layers(body: bytes) -> dict[str, int | None]:
    """The blobs that it needs, with their bytes where it says so; UnreadableError.

    A key that is not known is an error: Go reads keys in any case, and a newer form could name blobs in other places.
    """
    try:
        document = json.loads(body)
    except ValueError as error:
        raise UnreadableError("damaged", "it is no JSON") from error
    top = _object(document, _OF_TOP, "it")
    layers = [] if top.get("layers") is None else top["layers"]
    if not isinstance(layers, list):
        raise UnreadableError("unknown form", "its `layers` are no list")
    return dict(_layer(one) for one in layers)


def _layer(given: Any) -> tuple[str, int | None]:
    layer = _object(given, _OF_LAYER, "a layer")
    blob = layer.get("blob")
    if not isinstance(blob, str) or not _DIGEST.fullmatch(blob):
        raise UnreadableError("unknown form", "a layer names no blob")
    annotations = layer.get("annotations")
    size = annotations.get("size") if isinstance(annotations, dict) else None
    return blob, size if isinstance(size, int) else None


def _object(given: Any, known: set[str], what: str) -> dict[str, Any]:
    if not isinstance(given, dict):
        raise UnreadableError("unknown form", f"{what} is no JSON object")
    if unknown := sorted(given.keys() - known):
        raise UnreadableError("unknown form", f"{what} has `{unknown[0]}`, which is not known")
    return given
