"""One part of an image, built: once, or again where that may help."""

from __future__ import annotations

import json
import posixpath
import threading
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

from imagewright.builds.attempt import Attempt
from imagewright.builds.caches import Caches, NoCaches
from imagewright.builds.failure import CACHE_HINT, Failure, analyse, cache_trouble, of_error
from imagewright.builds.job import Bake, Job, Part, RunOptions
from imagewright.builds.progress import Event, Progress, advance
from imagewright.builds.recovery import Recovery
from imagewright.errors import EnvironmentMissingError, ImagewrightError
from imagewright.tools.docker import CanceledError
from imagewright.tools.redact import Redactor

if TYPE_CHECKING:
    from imagewright.builds.builder import Builder


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
class Means:
    """What all builds of a run share."""

    bake: Bake
    builder: Builder
    options: RunOptions
    docker: Docker
    scratch: Path
    stop: threading.Event  # set when nothing is to begin any more
    warn: Callable[[str], None]
    retrying: Callable[[str, str, float], None]  # image, why, seconds until then
    caches: Caches = field(default_factory=NoCaches)
    recovery: Recovery = field(default_factory=Recovery)
    attempts: dict[str, Attempt] = field(default_factory=dict)  # that are at work now

    def watch(self) -> None:
        """End what waits for a cache that does nothing; called often."""
        if self.caches.timeout:
            for attempt in tuple(self.attempts.values()):
                attempt.give_up(self.caches.timeout)


class Siblings:
    """The parts of one image: when one of them fails for good, nobody wants the others, and they are ended."""

    def __init__(self) -> None:
        self.halted = False
        self._attempts: list[Attempt] = []
        self._lock = threading.Lock()

    def add(self, attempt: Attempt) -> None:
        """One that is about to start."""
        with self._lock:
            self._attempts.append(attempt)
            if self.halted:
                attempt.halt()

    def halt(self) -> None:
        """End all that are at work, and those that are still to come."""
        with self._lock:
            self.halted = True
            for attempt in self._attempts:
                attempt.halt()


class Tries:
    """The tries of one part. `write` takes a line of its log, `show` all that happens."""

    def __init__(
        self,
        means: Means,
        job: Job,
        part: Part,
        digests: Mapping[str, str],
        *,
        write: Callable[[str], None],
        show: Callable[[Progress, tuple[Event, ...]], None],
        siblings: Siblings | None = None,
    ) -> None:
        self._means = means
        self._job = job
        self._part = part
        self._digests = digests
        self._write = write
        self._show = show
        self._siblings = siblings or Siblings()
        self._retried = 0

    def run(self) -> Outcome:
        """Build it. Again where a transient failure and the number of retries say so, and without a cache that fails.

        No error of this package's leaves: it is the end of this image, and of no other.
        """
        while True:
            restarts = self._means.recovery.times
            try:
                self._part = replace(self._part, cache=self._means.caches.mode(self._job.name, self._means.warn))
            except EnvironmentMissingError as error:  # it is required
                return self._failed(of_error(self._job.name, error, kind="cache"))
            try:
                found = self._attempt(self._means.bake(self._job, self._digests, self._part))
                outcome = self._judged(found, restarts)
            except ImagewrightError as error:
                return self._failed(of_error(self._job.name, error))
            if outcome is not None:
                return outcome

    def _judged(self, found: Outcome, restarts: int) -> Outcome | None:
        """The end; None where it is worth another try."""
        caches, failure = self._means.caches, found.failure
        errors = _cache_errors(found) if self._part.cache != "off" else ()
        if errors:
            caches.failed(self._job.name, errors, self._means.warn, hangs=found.hangs)
        if found.hangs and not self._means.recovery.run(restarts):
            return replace(found, failure=_hanging(self._job.name, self._means.builder.name))
        if errors and caches.required:
            other = failure if failure and failure.kind != "cache" else None
            return replace(found, failure=other or _required(self._job.name, errors))
        if failure is None or self._is_over:
            return found
        if errors and failure.kind == "cache":
            self._write(f"--- {failure.message}: next try without it")
            return None
        if failure.kind == "builder" and self._means.recovery.since(restarts):
            return None
        if not self._waited(failure):
            return found
        if failure.kind == "builder" and not self._means.builder.listens:  # where it is ours, nobody else starts it
            self._means.recovery.run(restarts)
        return None

    def _waited(self, failure: Failure) -> bool:
        """Wait before the next try; whether there is one."""
        options, why, builder = self._means.options, failure.transient, self._means.builder
        if failure.kind == "builder" and (self._retried or not (builder.is_local or builder.listens)):
            return False  # once is enough; and for a socket that nobody listens on, buildx waits twenty seconds
        if why is None or self._retried >= options.retries:
            return False
        seconds = options.pause * 2**self._retried
        self._retried += 1
        self._write(f"--- {self._label}{why}: next try in {seconds:g}s")
        self._means.retrying(self._job.name, why, seconds)
        self._means.stop.wait(seconds)
        return not self._is_over

    @property
    def _is_over(self) -> bool:
        return self._means.stop.is_set() or self._siblings.halted

    @property
    def _label(self) -> str:
        return f"{self._part.label} " if self._part.label else ""

    def _attempt(self, document: Mapping[str, Any]) -> Outcome:
        means, part = self._means, self._part
        (target,) = document["group"]["default"]["targets"]
        key = f"{target}{'-'.join(['', *part.platforms]).replace('/', '-') if part.apart else ''}"
        file, metadata = means.scratch / f"{key}.json", means.scratch / f"{key}.metadata.json"
        file.write_text(json.dumps(document), encoding="utf-8")
        attempt = Attempt(Redactor(means.options.secrets), self._shown)
        self._siblings.add(attempt)
        means.attempts[key] = attempt
        try:
            code = means.docker.bake(
                file,
                target,
                builder=means.builder.name,
                metadata=metadata,
                on_line=attempt.on_line,
                cwd=means.options.root,
                env={**means.options.env, **(means.caches.env if part.cache != "off" else {})},
                on_start=attempt.on_start,
            )
        except CanceledError:
            code, attempt.halted = -1, True
        finally:
            del means.attempts[key]
        digest = _digest(metadata, target) if code == 0 else None
        if code == 0 and (digest or not means.options.push):
            return Outcome(part=part, progress=attempt.progress, digest=digest, failure=None)
        if attempt.halted:
            failure = Failure(kind="canceled", image=self._job.name, message="canceled", detail="")
        elif attempt.gave_up:
            failure = _stuck(self._job.name, attempt.gave_up)
        else:
            failure = self._analysed(attempt.progress, document, target, code)
        return Outcome(part=part, progress=attempt.progress, digest=None, failure=failure, hangs=attempt.hangs)

    def _analysed(self, progress: Progress, document: Mapping[str, Any], target: str, code: int) -> Failure:
        if code == 0:
            progress, _ = advance(progress, "ERROR: buildx pushed the image and did not say its digest")
        names = _dockerfiles(document, target, self._means.options.root)
        return analyse(self._job.name, progress, builder=self._means.builder.name, files=names)

    def _shown(self, progress: Progress, events: tuple[Event, ...]) -> None:
        for event in events:
            self._write(self._label + event.line)
        self._show(progress, events)

    def _failed(self, failure: Failure) -> Outcome:
        return Outcome(part=self._part, progress=Progress(), digest=None, failure=failure)


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
    detail = f"its store said nothing for {seconds:.0f}s"
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
