"""The real S3 store behind a proxy that can fail, wait, or tell when something is asked; and its bucket on disk."""

from __future__ import annotations

import json
import re
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from itertools import count
from pathlib import Path
from threading import Event
from typing import TYPE_CHECKING

from imagewright.services.credentials import s3_environment
from tests.e2e.faults import Fault, Proxy, Strike, proxy

if TYPE_CHECKING:
    from tests.e2e.conftest import LocalEngine

BUCKET = "layers"
_NUMBERS = count(1)

Which = Callable[[str, str], bool]
"""Whether a request, given by its method and path, is meant."""


def any_request(_method: str, _path: str) -> bool:
    """All of them."""
    return True


def signed(_method: str, path: str) -> bool:
    """All of BuildKit's; the other is the question whether anybody is there."""
    return path != "/"


def manifests_read(method: str, path: str) -> bool:
    """What an import begins with."""
    return method == "GET" and "/manifests/" in path


def blobs_written(method: str, path: str) -> bool:
    """What an export does, before it writes its manifest."""
    return method == "PUT" and "/blobs/" in path


@dataclass(frozen=True, kw_only=True)
class Store:
    """One cache in the store: a prefix that no other test has, reached through the proxy or past it."""

    engine: LocalEngine
    proxy: Proxy
    prefix: str

    @property
    def env(self) -> Mapping[str, str]:
        """The keys, as the AWS chain finds them."""
        return s3_environment(self.engine.places)

    def settings(self, **other: object) -> str:
        """The section `cache:` of a configuration, in one line."""
        values = {
            "type": "s3",
            "bucket": BUCKET,
            "prefix": self.prefix,
            "endpoint_url": f"http://{self.proxy.host}",
            **other,
        }
        return f"cache: {json.dumps(values)}\n"

    def fail(self, fault: Fault, which: Which = any_request) -> None:
        """Answer these requests with this."""
        self.proxy.choose = lambda method, path: fault if which(method, path) else None

    def strike(self, do: Callable[[], object], which: Which) -> None:
        """Do this when the first of these requests comes, before it is passed on."""
        self.proxy.before = Strike(do, which)

    def wait_for(self, event: Event, which: Which) -> None:
        """Answer none of these requests before that happens."""

        def before(method: str, path: str) -> None:
            if which(method, path):
                assert event.wait(600), "nobody gave up"

        self.proxy.before = before

    def delay(self, seconds: float) -> None:
        """Let each request wait."""
        self.proxy.before = lambda _method, _path: time.sleep(seconds)

    def heal(self) -> None:
        """Pass all on from now on."""
        self.proxy.choose = lambda _method, _path: None
        self.proxy.before = lambda _method, _path: None

    @property
    def folder(self) -> Path:
        """Where the store keeps this cache."""
        return self.engine.places.service("s3") / "data" / BUCKET / self.prefix

    def manifests(self) -> Mapping[str, int]:
        """The caches by name, with the time of their last write (nanoseconds since 1970)."""
        return {file.name: file.stat().st_mtime_ns for file in (self.folder / "manifests").glob("*")}

    def blobs(self) -> list[Path]:
        """The blobs, the largest first."""
        return sorted((self.folder / "blobs").glob("sha256:*"), key=lambda file: -file.stat().st_size)


@contextmanager
def before_store(engine: LocalEngine) -> Iterator[Store]:
    """A cache of its own behind a proxy, until the end of the block."""
    with proxy(f"127.0.0.1:{engine.places.s3_port}") as between:
        between.said = b'<?xml version="1.0"?><Error><Code>Injected</Code><Message>by the test</Message></Error>'
        yield Store(engine=engine, proxy=between, prefix=f"test-{next(_NUMBERS)}/")


def warnings(text: str) -> list[str]:
    """The warnings in what a run said."""
    return [line for line in text.splitlines() if re.search(r"^warning: |cannot be used|lacks a blob", line)]
