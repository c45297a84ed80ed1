"""What came of a run: the result JSON, and the exit code."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal

from imagewright.builds.failure import Failure
from imagewright.builds.publication import Unpublished

SCHEMA = 1  # of the JSON; raised when a reader would have to change

Status = Literal["built", "reused", "skipped", "failed"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Span:
    """Something that took time within the build of an image: a step, an export, the publishing of its tags."""

    name: str  # "[linux/amd64 build 2/4] RUN make"
    start: float  # seconds since 1970, by the builder's clock
    end: float
    state: Literal["done", "cached", "failed"] = "done"
    platform: str | None = None  # "linux/arm64", where it is known


@dataclass(frozen=True, slots=True, kw_only=True)
class ImageResult:
    """The end of one image."""

    name: str
    status: Status
    reference: str  # its first tag: "localhost:5050/app:dev"
    digest: str | None  # "sha256:…" of the index or manifest; None where nothing was exported
    platforms: tuple[str, ...]
    tags: tuple[str, ...]  # the references that point to the digest now
    unpublished: tuple[Unpublished, ...] = ()  # registries beside the first one that did not take it
    seconds: float = 0.0
    cached_steps: int = 0
    steps: int = 0
    log: str | None = None  # the path of the full log
    failure: Failure | None = None
    because: str | None = None  # where it was skipped
    sizes: Mapping[str, int] | None = None  # compressed bytes, by platform; None where nobody asked the registry
    growth: int | None = None  # bytes more (or less, below zero) than the last one that was published from here
    why: str | None = None  # the first reason that the plan has for it
    began: float | None = None  # seconds since 1970, by this machine's clock; None where nothing was done
    spans: tuple[Span, ...] = ()  # in the order in which they began


def to_json(results: Sequence[ImageResult], *, seconds: float) -> dict[str, Any]:
    """The result as the JSON contract has it, images in the given order."""
    return {
        "schema": SCHEMA,
        "ok": exit_code(results) == 0,
        "seconds": round(seconds, 3),
        "images": [
            {
                "name": result.name,
                "status": result.status,
                "reference": result.reference,
                "digest": result.digest,
                "platforms": list(result.platforms),
                "tags": list(result.tags),
                "unpublished": [{"registry": one.registry, "error": one.error} for one in result.unpublished],
                "sizes": dict(result.sizes) if result.sizes is not None else None,
                "growth": result.growth,
                "why": result.why,
                "seconds": round(result.seconds, 3),
                "cached_steps": result.cached_steps,
                "steps": result.steps,
                "log": result.log,
                "error": str(result.failure.error) if result.failure else None,
                "because": result.because,
            }
            for result in results
        ],
    }


def exit_code(results: Sequence[ImageResult]) -> int:
    """0 where nothing failed; 3 where the environment alone is to blame, all failures being of that kind; else 1."""
    codes = {result.failure.error.exit_code for result in results if result.failure}
    codes |= {1 for result in results if result.unpublished}
    return codes.pop() if len(codes) == 1 else int(bool(codes) or any(r.status == "failed" for r in results))
