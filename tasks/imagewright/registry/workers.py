"""Many calls, a few at a time."""

from __future__ import annotations

from collections import deque
from concurrent.futures import ThreadPoolExecutor, as_completed
from typing import TYPE_CHECKING, TypeVar

from imagewright.registry.session import WORKERS

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

_T = TypeVar("_T")
_R = TypeVar("_R")


def concurrently(call: Callable[[_T], _R], items: Iterable[_T], stop: Callable[[], None]) -> list[_R]:
    """`call` for each item, eight at a time; results in the items' order. An error ends it: the first item's.

    `stop` is called then, before the calls that still run are waited for.
    """
    waiting = deque(enumerate(items))
    results: dict[int, _R] = {}
    failed: dict[int, Exception] = {}
    known: tuple[int, ...] = ()

    def work() -> None:
        # A task for each worker instead of one for each call: ten thousand of those cost seconds.
        while True:
            try:
                at, item = waiting.popleft()
            except IndexError:
                return
            try:
                results[at] = call(item)
            except Exception as error:
                failed[at] = error
                raise

    with ThreadPoolExecutor(WORKERS) as pool:
        workers = [pool.submit(work) for _ in range(min(WORKERS, len(waiting)))]
        try:
            for done in as_completed(workers):
                done.result()
        except BaseException as error:
            waiting.clear()
            known = tuple(failed)  # what fails from here on may do so because of the stop
            stop()
            if not isinstance(error, Exception):
                raise
    if failed:
        raise failed[min(known)]
    return [results[at] for at in range(len(results))]
