"""Reads, shows, prunes and mends the layer cache for `invoke cache`."""

from __future__ import annotations

import json
from contextlib import nullcontext
from functools import partial
from typing import TYPE_CHECKING, Any, Self

from imagewright.cache import condemned
from imagewright.cache.lease import Lease
from imagewright.cache.look import look
from imagewright.cache.plan import plan_prune
from imagewright.cache.prune import Done, Prune
from imagewright.cache.sizes import sizes_of
from imagewright.cache.verify import repair as mend
from imagewright.cache.verify import verify
from imagewright.cli.cached import (
    SCHEMA,
    finding_document,
    prune_document,
    show_caches,
    show_findings,
    show_verdicts,
    status_document,
    tell_plan,
    tell_pruned,
)
from imagewright.cli.cleaned import Counter
from imagewright.config.sizes import size
from imagewright.errors import ImagewrightError

if TYPE_CHECKING:
    from collections.abc import Callable, Collection

    from imagewright.cache.door import Store
    from imagewright.cache.model import Picture
    from imagewright.cache.plan import Plan
    from imagewright.cache.retire import Policy
    from imagewright.cli.project import Project


class Caching:
    """One call. `act`: what is found is deleted, and not only told."""

    def __init__(
        self,
        store: Store,
        policy: Policy,
        images: Collection[str],
        say: Callable[[str], None],
        *,
        act: bool = False,
        as_json: bool = False,
    ) -> None:
        self._store = store
        self._policy = policy
        self._images = images
        self._say = say
        self._act = act
        self._as_json = as_json

    @classmethod
    def of_project(cls, project: Project, policy: Policy, *, act: bool, as_json: bool, judges: bool = True) -> Self:
        """The cache that the project's configuration describes; `judges`: the images matter."""
        from imagewright.cache.place import store_of

        store = store_of(project.settings.cache, project.places)
        images = frozenset(project.by_name) if judges else frozenset()
        return cls(store, policy, images, project.say, act=act, as_json=as_json)

    def status(self) -> None:
        """A line for each cache, and what the store holds in all."""
        picture = self._look()
        for one in picture.unreadable:
            self._say(f"manifests/{one.name}: nobody can tell what it needs: {one.reason}")
        # What cannot be told stands in the way of a prune, and not of looking.
        plan = self._plan(picture, to_look=True)[0]
        found, totals = sizes_of(plan)
        if self._as_json:
            _print(status_document(plan, found, totals))
        else:
            show_caches(self._say, plan, found, totals)

    def prune(self) -> None:
        """The plan, shown; with `act` carried out, while nobody else does the same."""
        with Lease(self._store) if self._act else nullcontext() as lease:
            picture = self._look(lease)
            plan, etag = self._plan(picture)
            if not self._as_json:
                show_verdicts(plan)
            tell_plan(self._say, plan)
            done = self._carried_out(plan, etag, lease) if lease else None
        if done is None:
            self._say("nothing was deleted: --yes does it")
        else:
            tell_pruned(self._say, done)
        if self._as_json:
            _print(prune_document(plan, done))

    def verify(self, *, deep: bool, repair: bool) -> None:
        """The caches that cannot be used; ImagewrightError where there are some that stay so."""
        picture = self._look()
        with Counter("reading blobs", self._say) as counter:
            found = verify(self._store, picture, deep=deep, progress=counter)
        gone: dict[str, tuple[str, ...]] = {}
        if repair and self._act:
            for one in found:
                gone[one.name] = mend(self._store, one, deep=deep) if one.repairable else ()
                for key in gone[one.name]:
                    self._say(f"deleted {key}")
        left = [one for one in found if not gone.get(one.name)]
        if self._as_json:
            caches = [finding_document(one, gone.get(one.name, ())) for one in found]
            _print({"schema": SCHEMA, "ok": not left, "checked": len(picture.caches), "caches": caches})
        else:
            show_findings(found)
        if not found:
            self._say(f"all of {len(picture.caches)} caches can be used")
        if left:
            hint = "`invoke cache verify --repair --yes` removes it: the next build writes it again"
            if repair and self._act:
                hint = "it has changed meanwhile, or is of a form that is not known: look again"
            raise ImagewrightError(f"{len(left)} of {len(picture.caches)} caches cannot be used", hint=hint)

    def _look(self, lease: Lease | None = None) -> Picture:
        with Counter("reading the store", self._say) as counter:

            def progress(count: int) -> None:
                counter(count)
                if lease:
                    lease.renew()

            return look(self._store, progress)

    def _plan(self, picture: Picture, *, to_look: bool = False) -> tuple[Plan, str | None]:
        content = self._store.get(condemned.KEY)
        before = condemned.read_condemned(content.body if content else None)
        plan = plan_prune(picture, self._policy, self._images, before, picture.taken, to_look=to_look)
        return plan, content.etag if content else None

    def _carried_out(self, plan: Plan, etag: str | None, lease: Lease) -> Done:
        with Counter("deleting blobs", self._say) as counter:
            journal = partial(self._deleted, plan)
            return Prune(self._store, plan, etag, lease, journal=journal, progress=counter).run()

    def _deleted(self, plan: Plan, key: str) -> None:
        blob = plan.picture.blobs.get(key.removeprefix("blobs/"))
        self._say(f"deleted {key}" + (f" ({size(blob.size)})" if blob else ""))


def tell_none(kind: str, say: Callable[[str], None], *, as_json: bool) -> None:
    """What there is to say where the cache is not in S3."""
    if as_json:
        _print({"schema": SCHEMA, "type": kind, "caches": []})
    match kind:
        case "registry":
            say("the cache is in the registry (`cache.type: registry`): `invoke cleanup` sees and keeps it")
        case "inline":
            say("the cache is in the images themselves (`cache.type: inline`): it goes with them, by `invoke cleanup`")
        case _:
            say("there is no cache but the builder's own (`cache.type` is not set): nothing to do here")


def _print(document: dict[str, Any]) -> None:
    print(json.dumps(document, indent=2))  # noqa: T201
