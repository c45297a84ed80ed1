"""One image from its bake file to its tags: in parts where platforms build apart, and again where that may help."""

from __future__ import annotations

import json
import posixpath
import threading
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

from imagewright.builds.attempt import Attempt
from imagewright.builds.caches import Caches, NoCaches
from imagewright.builds.failure import CACHE_HINT, Failure, analyse, cache_trouble
from imagewright.builds.job import Bake, Job, Join, Part, RunOptions
from imagewright.builds.progress import Event, Progress, advance
from imagewright.builds.publication import Publish, failure_of
from imagewright.builds.recovery import Recovery
from imagewright.builds.result import ImageResult, Span
from imagewright.errors import ImagewrightError
from imagewright.tools.docker import CanceledError
from imagewright.tools.redact import Redactor

if TYPE_CHECKING:
    from imagewright.builds.builder import Builder
    from imagewright.builds.view import View


class Docker(Protocol):
    """What a run needs of docker."""

    def bake(
        self,
        file: Path,
        target: str,
        *,
        builder: str,
        metadata: Path,
        on_line: Callable[[str], None],
        cwd: Path,
        env: Mapping[str, str] | None = None,
        on_start: Callable[[Callable[[], None]], None] = lambda _stop: None,
    ) -> int:
        """Build one target; the exit code. `on_start` gets what ends this build alone."""

    def cancel(self) -> None:
        """End what runs."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Outcome:
    """How one part ended. There is a digest where it was pushed."""

    part: Part
    progress: Progress
    digest: str | None
    failure: Failure | None
    hangs: bool = False  # whether BuildKit still waits for a cache that this build gave up


@dataclass(frozen=True, slots=True, kw_only=True)
class Work:
    """What the threads of a run share. Only what `post` takes reaches the view, from the thread that shows it."""

    bake: Bake
    builder: Builder
    options: RunOptions
    view: View
    docker: Docker
    log_folder: Path
    scratch: Path
    post: Callable[[Callable[[], None]], None]
    stop: threading.Event
    publish: Publish | None = None
    join: Join | None = None
    caches: Caches = field(default_factory=NoCaches)
    recovery: Recovery = field(default_factory=Recovery)
    attempts: dict[str, Attempt] = field(default_factory=dict)  # that are at work now

    def do(self, job: Job, done: Mapping[str, ImageResult]) -> ImageResult:
        """Build one image, where it has no digest yet, and put its tags on it."""
        began = time.time()
        built = self._build(job, done) if job.digest is None else result_of(job, "reused", digest=job.digest)
        return self._published(job, replace(built, began=began))

    def watch(self) -> None:
        """End what waits for a cache that does nothing; called often."""
        if self.caches.timeout:
            for attempt in tuple(self.attempts.values()):
                attempt.give_up(self.caches.timeout)

    def _warn(self, text: str) -> None:
        self.post(partial(self.view.warned, text))

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
        parents = {name: done[name].digest for name in job.parents} if self.options.push else {}
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
        parts = self.builder.parts(job.platforms) if self.options.push and self.join else (job.platforms,)
        if len(parts) == 1:
            return [self._part(job, digests, Part(platforms=parts[0]), write)]
        shown = _Together(job.name, self.post, self.view)
        with ThreadPoolExecutor(max_workers=len(parts), thread_name_prefix=job.name) as pool:
            return list(
                pool.map(
                    lambda platforms: self._part(
                        job, digests, Part(platforms=platforms, apart=True), write, shown.of(",".join(platforms))
                    ),
                    parts,
                )
            )

    def _joined(self, job: Job, outcomes: Sequence[Outcome]) -> str | None:
        if self.join is None or len(outcomes) == 1:
            return outcomes[0].digest
        return self.join(job, [(found.part.platforms, found.digest) for found in outcomes if found.digest])

    def _part(
        self,
        job: Job,
        digests: Mapping[str, str],
        part: Part,
        write: Callable[[str], None],
        show: Callable[[Progress, tuple[Event, ...]], None] | None = None,
    ) -> Outcome:
        """Build one part, again where a transient failure and the number of retries say so, or without its cache."""
        retried = 0
        label = f"{part.label} " if part.label else ""

        def shown(progress: Progress, events: tuple[Event, ...]) -> None:
            for event in events:
                write(label + event.line)
            (show or partial(_show, self.post, self.view, job.name))(progress, events)

        while True:
            part = replace(part, cache=self.caches.mode(job.name, self._warn))
            restarts = self.recovery.times
            found = self._attempt(job, part, self.bake(job, digests, part), shown)
            if found.hangs and not self.recovery.run(restarts):
                self.caches.failed(job.name, _cache_errors(found), self._warn)
                return replace(found, failure=_hanging(job.name, self.builder.name))
            if found.failure and found.failure.kind == "builder" and self.recovery.times != restarts:
                continue
            if part.cache != "off" and (errors := _cache_errors(found)):
                self.caches.failed(job.name, errors, self._warn)
                if self.caches.required:
                    other = found.failure if found.failure and found.failure.kind != "cache" else None
                    return replace(found, failure=other or _required(job.name, errors))
                if found.failure and found.failure.kind == "cache" and not self.stop.is_set():
                    write(f"--- {found.failure.message}: next try without it")
                    continue
            why = found.failure.transient if found.failure else None
            if why is None or retried == self.options.retries or self.stop.is_set():
                return found
            seconds = self.options.pause * 2**retried
            retried += 1
            write(f"--- {label}{why}: next try in {seconds:g}s")
            self.post(partial(self.view.retrying, job.name, why, seconds))
            if self.stop.wait(seconds):
                return found

    def _attempt(
        self,
        job: Job,
        part: Part,
        document: Mapping[str, Any],
        shown: Callable[[Progress, tuple[Event, ...]], None],
    ) -> Outcome:
        (target,) = document["group"]["default"]["targets"]
        key = f"{target}{'-'.join(['', *part.platforms]).replace('/', '-') if part.apart else ''}"
        file, metadata = self.scratch / f"{key}.json", self.scratch / f"{key}.metadata.json"
        file.write_text(json.dumps(document), encoding="utf-8")
        attempt = Attempt(Redactor(self.options.secrets), shown)
        self.attempts[key] = attempt
        try:
            code = self.docker.bake(
                file,
                target,
                builder=self.builder.name,
                metadata=metadata,
                on_line=attempt.on_line,
                cwd=self.options.root,
                env={**self.options.env, **(self.caches.env if part.cache != "off" else {})},
                on_start=partial(setattr, attempt, "stop"),
            )
        except CanceledError:
            code = -1
            attempt.on_line("ERROR: context canceled")
        finally:
            del self.attempts[key]
        progress = attempt.progress
        if code == 0:
            digest = _digest(metadata, target)
            if digest or not self.options.push:
                return Outcome(part=part, progress=progress, digest=digest, failure=None)
            progress, _ = advance(progress, "ERROR: buildx pushed the image and did not say its digest")
        names = _dockerfiles(document, target, self.options.root)
        failure = analyse(job.name, progress, builder=self.builder.name, files=names)
        if attempt.gave_up:
            failure = _stuck(job.name, attempt.gave_up)
        return Outcome(part=part, progress=progress, digest=None, failure=failure, hangs=attempt.hangs)

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

    def __init__(self, image: str, post: Callable[[Callable[[], None]], None], view: View) -> None:
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


def _show(
    post: Callable[[Callable[[], None]], None], view: View, image: str, progress: Progress, events: tuple[Event, ...]
) -> None:
    post(partial(view.progressed, image, progress, events))


def _cache_errors(found: Outcome) -> tuple[str, ...]:
    own = (found.failure.detail,) if found.failure and found.failure.kind == "cache" else ()
    return tuple(dict.fromkeys((*own, *found.progress.cache_errors)))


def _required(image: str, errors: Sequence[str]) -> Failure:
    return Failure(
        kind="cache",
        image=image,
        message=f"the layer cache cannot be used, and `cache.required` is set: {cache_trouble(errors[0])}",
        detail=errors[0],
        hint=CACHE_HINT,
    )


def _stuck(image: str, seconds: float) -> Failure:
    detail = f"it did nothing for {seconds:.0f}s"
    message = f"the layer cache cannot be used: {detail}"
    return Failure(kind="cache", image=image, message=message, detail=detail, hint=CACHE_HINT)


def _hanging(image: str, builder: str) -> Failure:
    return Failure(
        kind="builder",
        image=image,
        message=f"builder {builder} waits for the layer cache, which does not answer, and does nothing else meanwhile",
        detail="",
        hint="restart its BuildKit; `cache.type: none` builds without the cache until its store answers",
    )


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


def _digest(metadata: Path, target: str) -> str | None:
    try:
        found = json.loads(metadata.read_bytes())[target]["containerimage.digest"]
    except (OSError, ValueError, KeyError):
        return None  # nothing was exported
    return str(found)


def _dockerfiles(document: Mapping[str, Any], target: str, root: Path) -> Mapping[str, str]:
    """BuildKit names a Dockerfile without its folder: the paths of those in the bake file, from the root."""
    names = sorted(document["target"], key=lambda name: name == target)  # the target's own wins over its parents'
    paths = (
        posixpath.join(document["target"][name].get("context", "."), document["target"][name]["dockerfile"])
        for name in names
    )
    return {posixpath.basename(path): posixpath.relpath(posixpath.join(root, path), root) for path in paths}


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
