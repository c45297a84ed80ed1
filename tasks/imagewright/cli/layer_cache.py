"""The layer cache of one run: what its builds read and write, and what to do when the store fails them."""

from __future__ import annotations

import math
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING

from imagewright.builds.caches import CacheLines, Mode, Warn
from imagewright.builds.failure import CACHE_HINT, cache_trouble, is_lost_blob
from imagewright.cache.scopes import scopes
from imagewright.cache.use import Cached, lines_of
from imagewright.config.durations import parse_duration
from imagewright.config.words import LOCAL
from imagewright.errors import EnvironmentMissingError

if TYPE_CHECKING:
    from imagewright.builds.builder import Builder
    from imagewright.builds.plan import Plan, PlanImage
    from imagewright.cache.scopes import Scopes
    from imagewright.cli.project import Project

_PAUSE_SECONDS = 60.0  # after a failure, before the store is tried again
_PROBE_SECONDS = 5.0

Answers = Callable[[], str | None]
"""Asks the store whether it is there; what is wrong where it is not."""


def cache_lines(project: Project, plan: Plan) -> Callable[[str, str | None], CacheLines]:
    """The lines of the plan's images, for their bake files."""
    settings = project.known_settings.cache
    if settings.type == "none":
        return lambda _name, _platform: CacheLines()
    near = scopes(project.event, write=settings.write)
    endpoint = endpoint_of(project)
    items = {item.name: item for item in plan.images}

    def lines(name: str, platform: str | None) -> CacheLines:
        found = lines_of(
            _cached(items[name]),
            platform,
            settings,
            near,
            registry=project.known_settings.registry[0],
            endpoint=endpoint,
        )
        return CacheLines(found.sources, found.targets)

    return lines


def endpoint_of(project: Project) -> str | None:
    """The address of the store; None for AWS' own, and where the cache is no store."""
    settings = project.known_settings
    if settings.cache.endpoint_url == LOCAL:
        return f"http://127.0.0.1:{project.places.s3_port}"
    return settings.cache.endpoint_url


def layer_cache(project: Project, builder: Builder) -> LayerCache | None:
    """The cache of a run on this builder; None where there is none but the builder's own.

    The store of this machine is started, where the configuration names it. EnvironmentMissingError where the cache is
    required, and the builder has none of this type.
    """
    settings = project.known_settings.cache
    if settings.type == "none":
        return None
    if builder.driver == "docker" and settings.type != "inline":
        text = f"builder {builder.name} is the docker engine's own, which has no cache of the type {settings.type}"
        hint = "`docker buildx create --use` makes one that has; or `cache.type: inline`"
        if settings.required:
            raise EnvironmentMissingError(f"{text}, and `cache.required` is set", hint=hint)
        project.say(f"warning: {text}: {hint}")
        return None
    near = scopes(project.event, write=settings.write)
    if near.why and settings.write:
        project.say(f"the layer cache is read, and not written: {near.why}")
    is_here = settings.type == "s3" and settings.endpoint_url == LOCAL
    if is_here:
        from imagewright.services.manager import ensure

        ensure(("s3",), project.places, environ=project.environ, say=project.say)
    endpoint = endpoint_of(project)
    # What this machine reaches, and what a builder elsewhere reaches, need not be the same.
    is_near = builder.driver == "remote" and bool(builder.nodes) and all(map(_is_here, builder.endpoints))
    return LayerCache(
        near,
        timeout=parse_duration(settings.timeout).total_seconds(),
        required=settings.required,
        env=_keys(project) if is_here else {},
        answers=_asked(endpoint) if settings.type == "s3" and endpoint and is_near else lambda: None,
    )


class LayerCache:
    """`builds.caches.Caches`. After a failure the store is left alone for a minute; it is warned of once."""

    def __init__(
        self,
        near: Scopes,
        *,
        timeout: float,
        required: bool,
        env: Mapping[str, str],
        answers: Answers = lambda: None,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._near = near
        self._answers = answers
        self._clock = clock
        self._lock = threading.Lock()
        self._off_until = 0.0
        self._asked_until = 0.0
        self._warned = False
        self._renew: set[str] = set()  # images whose cache lacks a blob
        self.timeout = timeout
        self.required = required
        self.env = env

    def mode(self, image: str, warn: Warn) -> Mode:
        """Off while the store is left alone; where it is at hand it is asked first, as BuildKit waits long for it.

        EnvironmentMissingError where it does not answer, and the cache is required.
        """
        with self._lock:
            now = self._clock()
            if now < self._off_until:
                return "off"
            if now >= self._asked_until:
                self._asked_until = now + 1
                if trouble := self._answers():
                    if self.required:
                        text = f"the layer cache cannot be used, and `cache.required` is set: {trouble}"
                        raise EnvironmentMissingError(text, hint=CACHE_HINT)
                    self._leave_alone(trouble, warn)
                    return "off"
            return "renew" if image in self._renew else "use"

    def failed(self, image: str, errors: Sequence[str], warn: Warn, *, hangs: bool = False) -> None:
        """A blob that is lost concerns the cache of one image, which is written anew; all else the store.

        One that `hangs` is left alone for the rest of the run: each try would end what else BuildKit builds. Where the
        cache is required, the build's own failure says it.
        """
        if self.required:
            return
        with self._lock:
            if all(map(is_lost_blob, errors)) and image not in self._renew:
                self._renew.add(image)
                warn(f"the cache of {image} lacks a blob: it is built without, and its cache is written anew")
            else:
                self._leave_alone(cache_trouble(errors[0]), warn, seconds=math.inf if hangs else _PAUSE_SECONDS)

    def _leave_alone(self, trouble: str, warn: Warn, *, seconds: float = _PAUSE_SECONDS) -> None:
        self._off_until = max(self._off_until, self._clock() + seconds)
        if not self._warned:
            self._warned = True
            warn(f"the layer cache cannot be used, builds go on without it: {trouble}")


def _is_here(endpoint: str) -> bool:
    return endpoint.startswith("unix://")


def _cached(item: PlanImage) -> Cached:
    repository = item.image.repository
    return Cached(
        name=item.name,
        repository=repository,
        parents=tuple(parent.name for parent in item.parents),
        tags=tuple(tag for tag in item.tags if tag.rpartition(":")[0] == repository),
    )


def _keys(project: Project) -> Mapping[str, str]:
    from imagewright.services.credentials import s3_environment

    # A token of the user's own would be sent along, and belongs to other keys.
    return {**s3_environment(project.places), "AWS_SESSION_TOKEN": ""}


def _asked(endpoint: str) -> Answers:
    from http.client import HTTPConnection, HTTPException, HTTPSConnection
    from ssl import SSLError
    from urllib.parse import urlsplit

    address = urlsplit(endpoint)
    connection = HTTPSConnection if address.scheme == "https" else HTTPConnection

    def answers() -> str | None:
        asked = connection(address.hostname or "", address.port, timeout=_PROBE_SECONDS)
        try:
            asked.request("HEAD", "/")
            asked.getresponse()  # whatever it says: it needs a signature to say more
        except SSLError:  # somebody is there, and whom to trust is the builder's business
            return None
        except (OSError, HTTPException) as error:
            return f"{endpoint} does not answer ({getattr(error, 'strerror', None) or error})"
        finally:
            asked.close()
        return None

    return answers
