"""Speed as a number that is the same on any machine, however busy it is: how many functions are called."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable


def calls(do: Callable[[], object]) -> int:
    """How many functions `do` calls in this thread, those written in C included."""
    number = 0

    def count(_frame: object, event: str, _argument: object) -> None:
        nonlocal number
        number += event in ("call", "c_call")

    before = sys.getprofile()
    sys.setprofile(count)
    try:
        do()
    finally:
        sys.setprofile(before)
    return number


def calls_each(work: Callable[[int], Callable[[], object]], size: int = 200) -> float:
    """How many functions each further one of many calls; `work(number)` gives what does so many, prepared.

    AssertionError where the second half of many calls more than the first: then it grows with the square, or worse.
    """
    work(1)()  # what is imported and kept at the first use
    none, half, all_ = (calls(work(number)) for number in (size, 2 * size, 3 * size))
    assert all_ - half <= 1.05 * (half - none), f"{none}, {half}, {all_} calls for {size}, {2 * size}, {3 * size}"
    return (all_ - none) / (2 * size)
