"""Child processes, run to their ends."""

from __future__ import annotations

import subprocess
import sys

import pytest

from imagewright.tools.process import run

SOME = "import sys; sys.stdout.buffer.write(b'x' * {size}); print('said', file=sys.stderr); sys.exit(3)"


@pytest.mark.parametrize("size", [0, 10, 1_000_000])
@pytest.mark.parametrize("is_long", [False, True])
def test_all_that_a_process_says(size: int, is_long: bool) -> None:
    done = run((sys.executable, "-c", SOME.format(size=size)), is_long=is_long)
    assert (done.code, done.stdout, done.error_text) == (3, b"x" * size, "said")


@pytest.mark.parametrize("is_long", [False, True])
def test_what_it_is_told(is_long: bool) -> None:
    copied = run((sys.executable, "-c", "print(input())"), stdin=b"this", is_long=is_long)
    assert copied.text == "this"


@pytest.mark.parametrize("is_long", [False, True])
def test_a_limit_of_time(is_long: bool) -> None:
    with pytest.raises(subprocess.TimeoutExpired):
        run((sys.executable, "-c", "input()"), stdin=None, seconds=0, is_long=is_long)
