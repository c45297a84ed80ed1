"""One image from its bake file to its tags: in parts where platforms build apart."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

from imagewright.builds.job import Job, Join, Part
from imagewright.builds.progress import Event, Progress
from imagewright.builds.publication import Publish, failure_of
from imagewright.builds.result import ImageResult, Span
from imagewright.builds.tries import Means, Outcome, Siblings, Tries
from imagewright.errors import ImagewrightError

if TYPE_CHECKING:
    from imagewright.builds.view import View

Post = Callable[[Callable[[], None]], None]
"""Has something done by the thread that shows the run."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Work:
    """What is done with each image. Only what `post` takes reaches the view."""

    means: Means
    view: View
    post: Post
    log_folder: Path
    publish: Publish | None = None
    join: Join | None = None

    def do(self, job: Job, done: Mapping[str, ImageResult]) -> ImageResult:
        """Build one image, where it has no digest yet, and put its tags on it."""
        began = time.time()
        built = self._build(job, done) if job.digest is None else result_of(job, "reused", digest=job.digest)
        return self._published(job, replace(built, began=began))

    def _published(self, job: Job, result: ImageResult) -> ImageResult:
        if self.publish is None or result.digest is None:
            return result
        start, begin = time.time(), time.monotonic()
        try:
            publication = self.publish(job, result.digest)
        except ImagewrightError as error:
            return replace(result, status="failed", tags=(), failure=failure_of(job.name, error))
        seconds = time.monotonic() - begin
        return replace(
            result,
            tags=publication.tags,
            unpublished=publication.unpublished,
            seconds=result.seconds + seconds,
            spans=(*result.spans, Span(name="publishing its tags", start=start, end=start + seconds)),
        )

    def _build(self, job: Job, done: Mapping[str, ImageResult]) -> ImageResult:
        begin = time.monotonic()
        parents = {name: done[name].digest for name in job.parents} if self.means.options.push else {}
        digests = {name: digest for name, digest in parents.items() if digest}
        with self._log(job) as write:
            outcomes = self._outcomes(job, digests, write)
        failure = next((found.failure for found in sorted(outcomes, key=_blame) if found.failure), None)
        digest, spans = None, _spans(outcomes)
        if failure is None:
            start = time.time()
            try:
                digest = self._joined(job, outcomes)
            except ImagewrightError as error:
                failure = failure_of(job.name, error)
            if len(outcomes) > 1:
                spans = (*spans, Span(name="publishing the index of its platforms", start=start, end=time.time()))
        return result_of(
            job,
            "failed" if failure else "built",
            digest=digest,
            seconds=time.monotonic() - begin,
            cached_steps=sum(found.progress.cached for found in outcomes),
            steps=sum(found.progress.total for found in outcomes),
            log=str(self._log_file(job)),
            failure=failure,
            spans=spans,
        )

    def _outcomes(self, job: Job, digests: Mapping[str, str], write: Callable[[str], None]) -> list[Outcome]:
        parts = self.means.builder.parts(job.platforms) if self.means.options.push and self.join else (job.platforms,)
        if len(parts) == 1:
            show = partial(_show, self.post, self.view, job.name)
            return [Tries(self.means, job, Part(platforms=parts[0]), digests, write=write, show=show).run()]
        together, siblings = _Together(job.name, self.post, self.view), Siblings()

        def build(platforms: tuple[str, ...]) -> Outcome:
            part = Part(platforms=platforms, apart=True)
            show = together.of(part.label)
            found = Tries(self.means, job, part, digests, write=write, show=show, siblings=siblings).run()
            if found.failure and found.failure.kind != "canceled":
                siblings.halt()
            return found

        with ThreadPoolExecutor(max_workers=len(parts), thread_name_prefix=job.name) as pool:
            return list(pool.map(build, parts))

    def _joined(self, job: Job, outcomes: Sequence[Outcome]) -> str | None:
        if self.join is None or len(outcomes) == 1:
            return outcomes[0].digest
        return self.join(job, [(found.part.platforms, found.digest) for found in outcomes if found.digest])

    def _log_file(self, job: Job) -> Path:
        return self.log_folder / f"{job.name}.log"

    @contextmanager
    def _log(self, job: Job) -> Iterator[Callable[[str], None]]:
        """Writes lines to the image's log; its parts do so at once."""
        path = self._log_file(job)
        path.parent.mkdir(parents=True, exist_ok=True)
        with path.open("w", encoding="utf-8", buffering=1) as file:

            def write(line: str) -> None:
                file.write(f"{line}\n")

            yield write


class _Together:
    """The parts of one image, shown as one build."""

    def __init__(self, image: str, post: Post, view: View) -> None:
        self._image = image
        self._post = post
        self._view = view
        self._parts: dict[str, Progress] = {}
        self._lock = threading.Lock()

    def of(self, label: str) -> Callable[[Progress, tuple[Event, ...]], None]:
        """Shows one part."""

        def show(progress: Progress, events: tuple[Event, ...]) -> None:
            with self._lock:
                self._parts[label] = progress
                steps = {
                    f"{label} {key}": step for label, part in self._parts.items() for key, step in part.steps.items()
                }
                _show(self._post, self._view, self._image, replace(progress, steps=steps), events)

        return show


def _show(post: Post, view: View, image: str, progress: Progress, events: tuple[Event, ...]) -> None:
    post(partial(view.progressed, image, progress, events))


def _blame(found: Outcome) -> bool:
    """What was only canceled, because of another failure, comes last."""
    return found.failure is not None and found.failure.kind == "canceled"


def _spans(outcomes: Sequence[Outcome]) -> tuple[Span, ...]:
    spans = (
        Span(
            name=step.name,
            start=step.started,
            end=step.completed,
            state="failed" if step.error else "cached" if step.cached else "done",
            platform=step.platform or found.part.label or None,
        )
        for found in outcomes
        for step in found.progress.steps.values()
        if step.started is not None and step.completed is not None
    )
    return tuple(sorted(spans, key=lambda span: span.start))


def result_of(job: Job, status: Any, *, digest: str | None = None, **values: Any) -> ImageResult:
    """The end of a job."""
    return ImageResult(
        name=job.name,
        status=status,
        reference=job.tags[0] if job.tags else f"{job.repository}@{digest or job.digest}",
        digest=digest,
        platforms=job.platforms,
        tags=job.tags,
        **values,
    )
