"""Today's digests of outside images, found out in the background while other work is done. Nothing here is fatal."""

from __future__ import annotations

import time
from functools import partial
from queue import Empty, SimpleQueue
from typing import TYPE_CHECKING, Protocol

from imagewright.errors import ImagewrightError
from imagewright.references import DOCKER_HUB, Reference
from imagewright.tools.later import Later

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Iterable
    from contextlib import AbstractContextManager

    from imagewright.registry.model import Descriptor

_WORKERS = 8  # requests to one registry at once


class Source(Protocol):
    """What is asked of a registry; `registry.client.Registry` has it."""

    def resolve(self, repository: str, reference: str) -> Descriptor | None:
        """What a tag points to."""


class Digests:
    """The digests of full references with a tag, asked for at once, each registry on a thread of its own.

    `mirror` is the registry that BuildKit asks first for Docker Hub's images, where it does: there they stand below
    `docker.io/`. Docker Hub itself is asked for what the mirror has not, as BuildKit does; what is `not_in_mirror` is
    looked for only there. After `seconds` nothing is
    waited for any more, however many there are.
    """

    def __init__(
        self,
        references: Iterable[str],
        connect: Callable[[str], AbstractContextManager[Source]],
        *,
        mirror: str | None = None,
        not_in_mirror: Collection[str] = (),
        seconds: float,
    ) -> None:
        self._connect = connect
        self._until = time.monotonic() + seconds
        self._found: dict[str, str] = {}
        self._problems: dict[str, str] = {}
        hosts: dict[str, list[Reference]] = {}
        for text in sorted(set(references)):
            reference = Reference.parse(text)
            hosts.setdefault(reference.domain, []).append(reference)
        self._mirror: Later[None] | None = None
        mirrored = [one for one in hosts.get(DOCKER_HUB, ()) if str(one) not in not_in_mirror]
        if mirror and mirrored:
            self._mirror = Later(partial(self._ask, mirror, mirrored, f"{DOCKER_HUB}/"))
        self._hosts = {host: Later(partial(self._ask_host, host, wanted)) for host, wanted in hosts.items()}

    def digest(self, reference: str) -> str | None:
        """The digest of one of the references; None where it is not to be had in time."""
        host = Reference.parse(reference).domain
        for later in (self._mirror if host == DOCKER_HUB else None, self._hosts[host]):
            if later is not None and reference not in self._found:
                later.wait(self._until - time.monotonic())
        return self._found.get(reference)

    def problem(self, reference: str) -> str:
        """Why there is no digest of a reference."""
        return self._problems.get(reference, "the registry did not answer in time")

    def _ask_host(self, host: str, wanted: list[Reference]) -> None:
        if host == DOCKER_HUB and self._mirror is not None:
            self._mirror.wait(self._until - time.monotonic())
            wanted = [one for one in wanted if str(one) not in self._found]
        if wanted:
            self._ask(host, wanted, "")

    def _ask(self, host: str, wanted: list[Reference], prefix: str) -> None:
        ahead: SimpleQueue[Reference] = SimpleQueue()
        for reference in wanted:
            ahead.put(reference)
        try:
            with self._connect(host) as registry:
                workers = [Later(partial(self._work, registry, ahead, prefix)) for _ in wanted[:_WORKERS]]
                for worker in workers:
                    worker.result()
        except ImagewrightError as error:
            self._problems |= {str(reference): error.message for reference in wanted}

    def _work(self, registry: Source, ahead: SimpleQueue[Reference], prefix: str) -> None:
        while time.monotonic() < self._until:
            try:
                reference = ahead.get_nowait()
            except Empty:
                return
            try:
                found = registry.resolve(prefix + reference.path, reference.tag or "latest")
            except ImagewrightError as error:
                self._problems[str(reference)] = error.message
                continue
            if found is None:
                self._problems[str(reference)] = "the registry does not have it"
            else:
                self._found[str(reference)] = found.digest
