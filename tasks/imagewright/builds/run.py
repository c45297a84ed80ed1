"""Execute a plan: one bake call for each image, started as soon as its parents are done and published.

The thread that calls `execute` keeps the schedule and shows the progress; a worker for each running image reads what
its bake call says. Whatever way a run ends, no child process and no temporary file is left.
"""

from __future__ import annotations

import errno
import signal
import threading
from collections.abc import Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from queue import Empty, SimpleQueue
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING

from imagewright.builds.caches import Caches, NoCaches
from imagewright.builds.job import Bake, Job, Join, RunOptions
from imagewright.builds.publication import Publish
from imagewright.builds.recovery import Recovery
from imagewright.builds.result import ImageResult
from imagewright.builds.schedule import schedule
from imagewright.builds.tries import Docker, Means
from imagewright.builds.work import Work, result_of
from imagewright.errors import EnvironmentMissingError

if TYPE_CHECKING:
    from collections.abc import Callable

    from imagewright.builds.builder import Builder
    from imagewright.builds.view import View

_TICK_SECONDS = 0.1
_SIGNALS = (signal.SIGTERM, signal.SIGHUP)


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
    join: Join | None = None,
    caches: Caches | None = None,
    recovery: Recovery | None = None,
    stop: threading.Event | None = None,
) -> tuple[ImageResult, ...]:
    """Build all jobs; their results, in the order of `jobs`. A failure skips what is built on it, and nothing else.

    With `options.fail_fast` it ends the run: what is at work is stopped, and what has not begun is skipped.

    An image whose tags `publish` cannot put has failed: nothing is built on what others cannot find. `bake` makes the
    bake file of one job, given the digests of its parents that this run has pushed; its group `default` names the one
    target to build. Where the builder has several nodes and there is `join`, what each of them builds is pushed alone,
    and made one index when all of it is there. The full log of each image is written to `<log_folder>/<name>.log`.
    KeyboardInterrupt (Ctrl-C, SIGTERM, SIGHUP) passes through when all children have ended. EnvironmentMissingError
    where bake files or logs cannot be written; `stop` is set when the run ends early, so that what waits need not wait
    on; ValueError for parents that are not among the jobs, or form a cycle.
    """
    by_name = {job.name: job for job in jobs}
    plan = schedule(
        {job.name: job.parents for job in jobs},
        limit=options.jobs,
        seconds=options.seconds,
        fail_fast=options.fail_fast,
    )
    results: dict[str, ImageResult] = {}
    inbox: SimpleQueue[Callable[[], None] | Future[ImageResult]] = SimpleQueue()
    stop = stop or threading.Event()

    def settle(result: ImageResult) -> None:
        results[result.name] = result
        view.ended(result)

    with (
        _terminable(),
        TemporaryDirectory(prefix="imagewright-") as scratch,
        view,
        ThreadPoolExecutor(max_workers=options.jobs, thread_name_prefix="build") as pool,
    ):
        means = Means(
            bake=bake,
            builder=builder,
            options=options,
            docker=docker,
            scratch=Path(scratch),
            stop=stop,
            warn=lambda text: inbox.put(partial(view.warned, text)),
            retrying=lambda name, why, seconds: inbox.put(partial(view.retrying, name, why, seconds)),
            caches=caches or NoCaches(),
            recovery=recovery or Recovery(),
        )
        work = Work(means=means, view=view, post=inbox.put, log_folder=log_folder, publish=publish, join=join)
        try:
            view.begin([job.name for job in jobs])
            while not plan.done:
                for name in plan.startable:
                    plan = plan.start(name)
                    view.started(name)
                    pool.submit(work.do, by_name[name], dict(results)).add_done_callback(inbox.put)
                try:
                    message = inbox.get(timeout=_TICK_SECONDS)
                except Empty:
                    means.watch()
                    view.tick()
                    continue
                if isinstance(message, Future):
                    result = message.result()
                    known = plan.skipped
                    if stop.is_set() and result.failure and result.failure.kind == "canceled":
                        plan = plan.skip(result.name, "stopped: another image failed, and --fail-fast is set")
                    else:
                        plan = plan.end(result.name, ok=result.status in ("built", "reused"))
                        settle(result)
                    for name, because in plan.skipped.items():
                        if name not in known:
                            settle(result_of(by_name[name], "skipped", because=because))
                    if plan.failed and options.fail_fast and not stop.is_set():
                        stop.set()
                        docker.cancel()
                else:
                    message()
                means.watch()
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


@contextmanager
def _terminable() -> Iterator[None]:
    """Take SIGTERM and SIGHUP like Ctrl-C: children are in sessions of their own, and would go on."""
    if threading.current_thread() is not threading.main_thread():
        yield
        return

    def interrupt(_number: int, _frame: object) -> None:
        raise KeyboardInterrupt

    # What is ignored stays so: `nohup` ignores SIGHUP.
    taken = (number for number in _SIGNALS if signal.getsignal(number) is not signal.SIG_IGN)
    before = {number: signal.signal(number, interrupt) for number in taken}
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
