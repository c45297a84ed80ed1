"""What earlier runs of a repository told about its images: how long they took, how large they were."""

from __future__ import annotations

import json
import os
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import asdict, dataclass, replace
from pathlib import Path

from imagewright.builds.result import ImageResult

_MAX_KEPT = 5_000  # images


@dataclass(frozen=True, slots=True)
class Known:
    """One image."""

    seconds: float = 0.0  # of its last build that executed something
    sizes: Mapping[str, int] | None = None  # compressed bytes, by platform, of the last that was published


def load(file: Path) -> Mapping[str, Known]:
    """What is known, by image; nothing where there is no file, or a damaged one."""
    try:
        found = json.loads(file.read_bytes())
        return {name: _known(values) for name, values in found.items()}
    except (OSError, ValueError, AttributeError, TypeError):
        return {}


def save(file: Path, known: Mapping[str, Known]) -> None:
    """Keep it for the next run; where that cannot be, nothing is lost but a better order."""
    kept = dict(list(known.items())[-_MAX_KEPT:])
    fresh = file.with_name(f".{file.name}.{os.getpid()}")
    with suppress(OSError):
        file.parent.mkdir(parents=True, exist_ok=True)
        fresh.write_text(json.dumps({name: asdict(one) for name, one in kept.items()}), encoding="utf-8")
        fresh.replace(file)


def learned(known: Mapping[str, Known], results: Sequence[ImageResult]) -> Mapping[str, Known]:
    """What is known after a run. A build that took all from the cache tells nothing about the time that one takes."""
    found = dict(known)
    for result in results:
        if result.status != "built":
            continue
        before = found.pop(result.name, Known())
        executed = result.cached_steps < result.steps or not before.seconds
        found[result.name] = Known(
            seconds=round(result.seconds, 3) if executed else before.seconds,
            sizes=result.sizes or before.sizes,
        )
    return found


def with_growth(results: Sequence[ImageResult], known: Mapping[str, Known]) -> tuple[ImageResult, ...]:
    """The results with how much larger each image is than the last one; only where the platforms are the same."""
    return tuple(replace(result, growth=_growth(result, known.get(result.name, Known()))) for result in results)


def _growth(result: ImageResult, before: Known) -> int | None:
    if result.status != "built" or not result.sizes or not before.sizes or result.sizes.keys() != before.sizes.keys():
        return None
    return sum(result.sizes.values()) - sum(before.sizes.values())


def _known(values: Mapping[str, object]) -> Known:
    seconds, sizes = values["seconds"], values["sizes"]
    if not isinstance(seconds, int | float) or not (sizes is None or isinstance(sizes, dict)):
        raise TypeError("not what was written")
    return Known(float(seconds), {str(key): int(value) for key, value in sizes.items()} if sizes else None)
