"""Execute a plan: one bake call for each image, started as soon as its parents are done and published.

The thread that calls `execute` keeps the schedule and shows the progress; a worker for each running image reads what
its bake call says. Whatever way a run ends, no child process and no temporary file is left.
"""

from __future__ import annotations

import errno
import json
import posixpath
import signal
import threading
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from functools import partial
from pathlib import Path
from queue import Empty, SimpleQueue
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING, Any, Protocol

from imagewright.builds.failure import Failure, analyse
from imagewright.builds.progress import Progress, advance
from imagewright.builds.publication import Publish, failure_of
from imagewright.builds.result import ImageResult
from imagewright.builds.schedule import schedule
from imagewright.errors import EnvironmentMissingError, ImagewrightError
from imagewright.tools.redact import Redactor

if TYPE_CHECKING:
    from imagewright.builds.builder import Builder
    from imagewright.builds.view import View

_TICK_SECONDS = 0.1
_SIGNALS = (signal.SIGTERM, signal.SIGHUP)


@dataclass(frozen=True, slots=True, kw_only=True)
class Job:
    """One image to build, or only to publish: where there is a digest, its tags are put on that."""

    name: str
    parents: tuple[str, ...]  # jobs of the same run that must be done first
    tags: tuple[str, ...]  # full references, "localhost:5050/app:dev"
    platforms: tuple[str, ...]
    repository: str
    digest: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class RunOptions:
    """How a run is done."""

    root: Path  # bake's working folder: the repository's root
    jobs: int  # how many images build at once
    push: bool  # whether children take their parents by digest from the registry
    retries: int = 1  # of a transient failure
    pause: float = 1.0  # seconds before the first retry; each further one waits twice as long
    env: Mapping[str, str] = field(default_factory=dict)  # for bake, beside this process's own environment
    secrets: tuple[str, ...] = field(default=(), repr=False)  # values that are masked wherever they turn up


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
    ) -> int:
        """Build one target; the exit code."""

    def cancel(self) -> None:
        """End what runs."""


Bake = Callable[[Job, Mapping[str, str]], Mapping[str, Any]]


def execute(
    jobs: Sequence[Job],
    *,
    bake: Bake,
    builder: Builder,
    options: RunOptions,
    view: View,
    docker: Docker,
    log_folder: Path,
    publish: Publish | None = None,
) -> tuple[ImageResult, ...]:
    """Build all jobs; their results, in the order of `jobs`. A failure skips what is built on it, and nothing else.

    An image whose tags `publish` cannot put has failed: nothing is built on what others cannot find. `bake` makes the
    bake file of one job, given the digests of its parents that this run has pushed; its group `default` names the one
    target to build. The full log of each image is written to `<log_folder>/<name>.log`. KeyboardInterrupt (Ctrl-C,
    SIGTERM, SIGHUP) passes through when all children have ended. EnvironmentMissingError where bake files or logs
    cannot be written; ValueError for parents that are not among the jobs, or form a cycle.
    """
    by_name = {job.name: job for job in jobs}
    plan = schedule({job.name: job.parents for job in jobs}, limit=options.jobs)
    results: dict[str, ImageResult] = {}
    inbox: SimpleQueue[Callable[[], None] | Future[ImageResult]] = SimpleQueue()
    stop = threading.Event()

    def settle(result: ImageResult) -> None:
        results[result.name] = result
        view.ended(result)

    with (
        _terminable(),
        TemporaryDirectory(prefix="imagewright-") as scratch,
        view,
        ThreadPoolExecutor(max_workers=options.jobs, thread_name_prefix="build") as pool,
    ):
        work = _Work(bake, builder, options, view, docker, log_folder, Path(scratch), inbox.put, stop, publish)
        try:
            while not plan.done:
                for name in plan.startable:
                    plan = plan.start(name)
                    view.started(name)
                    pool.submit(work.do, by_name[name], dict(results)).add_done_callback(inbox.put)
                try:
                    message = inbox.get(timeout=_TICK_SECONDS)
                except Empty:
                    view.tick()
                    continue
                if isinstance(message, Future):
                    result = message.result()
                    known = plan.skipped
                    plan = plan.end(result.name, ok=result.status in ("built", "reused"))
                    settle(result)
                    for name, because in plan.skipped.items():
                        if name not in known:
                            settle(_result(by_name[name], "skipped", because=because))
                else:
                    message()
                view.tick()
        except BaseException as error:
            stop.set()
            docker.cancel()
            if isinstance(error, OSError) and error.errno in (errno.ENOSPC, errno.EDQUOT, errno.EACCES, errno.EROFS):
                raise EnvironmentMissingError(
                    str(error.strerror), where=error.filename, hint="bake files and logs cannot be written there"
                ) from None
            raise
    return tuple(results[job.name] for job in jobs)


@dataclass(frozen=True, slots=True)
class _Work:
    """What the workers share. Only `post` reaches the view, from the thread that shows it."""

    bake: Bake
    builder: Builder
    options: RunOptions
    view: View
    docker: Docker
    log_folder: Path
    scratch: Path
    post: Callable[[Callable[[], None]], None]
    stop: threading.Event
    publish: Publish | None

    def do(self, job: Job, done: Mapping[str, ImageResult]) -> ImageResult:
        """Build one image, where it has no digest yet, and put its tags on it."""
        if job.digest is None:
            return self._published(job, self._build(job, done))
        return self._published(job, _result(job, "reused", digest=job.digest))

    def _published(self, job: Job, result: ImageResult) -> ImageResult:
        if self.publish is None or result.digest is None or not job.tags:
            return result
        begin = time.monotonic()
        try:
            publication = self.publish(job, result.digest)
        except ImagewrightError as error:
            return replace(result, status="failed", tags=(), failure=failure_of(job.name, error))
        seconds = result.seconds + time.monotonic() - begin
        return replace(result, tags=publication.tags, unpublished=publication.unpublished, seconds=seconds)

    def _build(self, job: Job, done: Mapping[str, ImageResult]) -> ImageResult:
        """Build one image, again where a transient failure and the number of retries say so."""
        begin = time.monotonic()
        parents = {name: done[name].digest for name in job.parents} if self.options.push else {}
        document = self.bake(job, {name: digest for name, digest in parents.items() if digest})
        log = self.log_folder / f"{job.name}.log"
        log.parent.mkdir(parents=True, exist_ok=True)
        with log.open("w", encoding="utf-8", buffering=1) as file:

            def write(line: str) -> None:
                file.write(f"{line}\n")

            for attempt in range(self.options.retries + 1):
                progress, digest, failure = self._attempt(job, document, write)
                why = failure.transient if failure else None
                if why is None or attempt == self.options.retries or self.stop.is_set():
                    break
                seconds = self.options.pause * 2**attempt
                write(f"--- {why}: next try in {seconds:g}s")
                self.post(partial(self.view.retrying, job.name, why, seconds))
                if self.stop.wait(seconds):
                    break
        return _result(
            job,
            "failed" if failure else "built",
            digest=digest,
            seconds=time.monotonic() - begin,
            cached_steps=progress.cached,
            steps=progress.total,
            log=str(log),
            failure=failure,
        )

    def _attempt(
        self, job: Job, document: Mapping[str, Any], write: Callable[[str], None]
    ) -> tuple[Progress, str | None, Failure | None]:
        (target,) = document["group"]["default"]["targets"]
        file, metadata = self.scratch / f"{target}.json", self.scratch / f"{target}.metadata.json"
        file.write_text(json.dumps(document), encoding="utf-8")
        clean = Redactor(self.options.secrets)
        progress = Progress()

        def on_line(line: str) -> None:
            nonlocal progress
            progress, events = advance(progress, line, clean)
            for event in events:
                write(event.line)
            self.post(partial(self.view.progressed, job.name, progress, events))

        code = self.docker.bake(
            file,
            target,
            builder=self.builder.name,
            metadata=metadata,
            on_line=on_line,
            cwd=self.options.root,
            env=self.options.env,
        )
        if code == 0:
            digest = _digest(metadata, target)
            if digest or not self.options.push:
                return progress, digest, None
            progress, _ = advance(progress, "ERROR: buildx pushed the image and did not say its digest")
        names = _dockerfiles(document, target, self.options.root)
        return progress, None, analyse(job.name, progress, builder=self.builder.name, files=names)


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


def _result(job: Job, status: Any, *, digest: str | None = None, **values: Any) -> ImageResult:
    return ImageResult(
        name=job.name,
        status=status,
        reference=job.tags[0] if job.tags else f"{job.repository}@{digest or job.digest}",
        digest=digest,
        platforms=job.platforms,
        tags=job.tags,
        **values,
    )


@contextmanager
def _terminable() -> Iterator[None]:
    """Take SIGTERM and SIGHUP like Ctrl-C: children are in sessions of their own, and would go on."""
    if threading.current_thread() is not threading.main_thread():
        yield
        return

    def interrupt(_number: int, _frame: object) -> None:
        raise KeyboardInterrupt

    before = {number: signal.signal(number, interrupt) for number in _SIGNALS}
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
