"""Content on its way from one registry to another: never held in full, and checked before its end is handed on."""

from __future__ import annotations

import hashlib
from typing import TYPE_CHECKING, Self

from imagewright.errors import RegistryError
from imagewright.registry.answer import LostConnectionError
from imagewright.registry.session import UnansweredError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from types import TracebackType

    from imagewright.registry.answer import Answer
    from imagewright.registry.model import Descriptor


class Download:
    """A blob's bytes, to be read once, in the pieces that the network gives.

    The last piece is kept back until all of them have the promised digest and size: a reader that was told how much
    is to come never has all of a content that is not the right one. RegistryError where it is not, UnansweredError
    where the connection ends too early.
    """

    def __init__(
        self, response: Answer, blob: Descriptor, where: str, is_stopped: Callable[[], bool] = lambda: False
    ) -> None:
        """`response` is a 200 that has not been read; it is closed here. `where` is the blob's name for people.

        `is_stopped` is asked before each piece, whether the rest is wanted at all.
        """
        self._response = response
        self._blob = blob
        self._where = where
        self._is_stopped = is_stopped

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self._response.close()

    def __iter__(self) -> Iterator[bytes]:
        algorithm, _, _ = self._blob.digest.partition(":")
        taken, size, held = hashlib.new(algorithm), 0, b""
        for piece in self._pieces():
            taken.update(piece)
            size += len(piece)
            if size > self._blob.size:
                raise self._wrong(f"more than {self._blob.size} bytes")
            if held:
                yield held
            held = piece
        if size != self._blob.size:
            raise self._wrong(f"{size} bytes instead of {self._blob.size}")
        if f"{algorithm}:{taken.hexdigest()}" != self._blob.digest:
            raise self._wrong(f"content with the digest {algorithm}:{taken.hexdigest()}")
        if held:
            yield held

    def _pieces(self) -> Iterator[bytes]:
        try:
            for piece in self._response.pieces():
                if self._is_stopped():
                    raise RegistryError("the rest is not wanted any more", where=self._where)
                yield piece
        except LostConnectionError as error:
            raise UnansweredError("the registry closed the connection", where=self._where) from error

    def _wrong(self, what: str) -> RegistryError:
        return RegistryError(f"the registry sent {what}", where=self._where)
