"""One cleanup of a repository at a time, on one machine.

A registry cannot be locked: no request of the OCI distribution spec is carried out only if nothing else has changed.
Against cleanups on other machines stand the looks right before each deletion, and that what is gone already is fine.
"""

from __future__ import annotations

import fcntl
import hashlib
from contextlib import contextmanager
from typing import TYPE_CHECKING

from imagewright.errors import EnvironmentMissingError, RegistryError

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path


@contextmanager
def lease(folder: Path, repository: str) -> Iterator[None]:
    """Hold the lock of a repository; a process that dies lets go. RegistryError while another one has it."""
    path = folder / f"{hashlib.sha256(repository.encode()).hexdigest()[:32]}.lock"
    try:
        folder.mkdir(parents=True, exist_ok=True)
        file = path.open("w")
    except OSError as error:
        raise EnvironmentMissingError(f"the lock cannot be taken: {error.strerror}", where=str(path)) from error
    with file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as error:
            raise RegistryError(
                "another cleanup of this repository is running", where=repository, hint="wait for its end"
            ) from error
        yield
