"""How large the published images are: asked of the registry once for each digest, since a digest never changes."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import replace
from pathlib import Path

from imagewright.builds.result import ImageResult

_MAX_KEPT = 2000

Measure = Callable[[Mapping[str, str]], Mapping[str, Mapping[str, int]]]


def with_sizes(
    results: Sequence[ImageResult], repositories: Mapping[str, str], *, measure: Measure, memory: Path
) -> tuple[ImageResult, ...]:
    """The results with compressed bytes by platform where they were published.

    `measure` asks the registries, once, for all digests that are not known: it gets the repository of each digest,
    and returns the sizes of each. What they said is kept in the file `memory`. It leaves out what a registry does not
    tell: sizes are no reason to fail.
    """
    known = _load(memory)
    unknown = {
        result.digest: repositories[result.name] for result in results if result.digest and result.digest not in known
    }
    if unknown and (found := measure(unknown)):
        known.update({digest: dict(sizes) for digest, sizes in found.items()})
        with suppress(OSError):
            memory.parent.mkdir(parents=True, exist_ok=True)
            memory.write_text(json.dumps(dict(list(known.items())[-_MAX_KEPT:])), encoding="utf-8")
    return tuple(replace(result, sizes=known.get(result.digest or "")) for result in results)


def _load(memory: Path) -> dict[str, Mapping[str, int]]:
    try:
        found = json.loads(memory.read_bytes())
        return {digest: {platform: int(count) for platform, count in sizes.items()} for digest, sizes in found.items()}
    except (OSError, ValueError, AttributeError, TypeError):
        return {}  # not there, or damaged: it is asked for again
