"""A repository as it is at this moment, held against the picture that the plan was made from."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

from imagewright.cleanup.names import subject_of_tag
from imagewright.cleanup.stored import stored
from imagewright.errors import RegistryError
from imagewright.references import is_digest, is_tag

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Iterable

    from imagewright.cleanup.model import Picture, Stored
    from imagewright.registry.copy import Place
    from imagewright.registry.model import Manifest

_FEW = 100  # tags that are looked at one by one, every time
_BELIEVED = 30.0  # seconds at most; of more tags than that, those that were there before are not asked for so soon
_SHARE = 3.0  # but no longer than so many times what looking at all of them takes
_DEEPEST = 32


class Look:
    """Tags and manifests, kept up to date by looking again. Raises what the registry's client raises."""

    def __init__(
        self,
        place: Place,
        picture: Picture,
        doomed: Collection[str],
        *,
        planned: Collection[str] = (),
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        """`doomed` are the tags that are to go: all others of the picture are expected to be there.

        `planned` are manifests that are no news, even where the picture does not have them.
        """
        self._place = place
        self._clock = clock  # in seconds
        self._looked_at = self._believed = 0.0
        self._pictured = picture.tags
        self._known = frozenset((*picture.manifests, *planned))
        self._lists_referrers: bool | None = None
        self._news: tuple[int, frozenset[str]] = (-1, frozenset())
        self._kept = [tag for tag in picture.tags if tag not in set(doomed)]
        self.version = 0  # grows whenever anything has come that was not there before
        self.tags: dict[str, str] = {}
        self.manifests: dict[str, Stored] = dict(picture.manifests)

    def again(self) -> None:
        """List the tags, and resolve those that may have moved. New ones are read with all that they lead to."""
        registry, repository = self._place.registry, self._place.repository
        listed = registry.tags(repository)
        if listed is None and self._kept:  # no repository of that name, for us: rights that are gone look like that
            raise RegistryError("the registry does not know this repository any more", where=str(self._place))
        new = [tag for tag in listed or () if tag not in self._pictured]
        listed = tuple(dict.fromkeys((*(listed or ()), *self._kept)))  # a list may also be cut short
        if not all(map(is_tag, listed)):
            raise RegistryError("the registry lists a tag that is none", where=str(self._place))
        began = self._clock()
        is_old = not self._believed or began - self._looked_at > self._believed
        asked = listed if is_old or len(listed) <= _FEW else [tag for tag in listed if tag not in self.tags]
        found = dict(zip(asked, registry.concurrently(self._resolved, asked), strict=True))
        if lost := next((tag for tag in new if tag in found and found[tag] is None), None):
            raise RegistryError(
                "the registry lists this tag and has nothing under it",
                where=f"{self._place}:{lost}",
                hint="somebody is at work there: run it again",
            )
        if len(asked) == len(listed):
            self._looked_at = self._clock()
            self._believed = min(_BELIEVED, _SHARE * (self._looked_at - began))
        now = {tag: found[tag] if tag in found else self.tags[tag] for tag in listed}
        before = self.tags
        self.tags = {tag: digest for tag, digest in now.items() if digest is not None}
        self.version += any(before.get(tag) != digest for tag, digest in self.tags.items())
        self.learn_of(set(self.tags.values()))

    def at(self, tag: str, digest: str | None) -> None:
        """What a tag points to has just been seen; None: it is gone."""
        if digest is None:
            self.tags.pop(tag, None)
        elif self.tags.get(tag) != digest:
            self.tags[tag] = digest
            self.version += 1
            self.learn_of({digest})

    def learn_of(self, digests: Iterable[str]) -> frozenset[str]:
        """Read the manifests that are not known yet, and all below them; those that are not there."""
        registry, repository = self._place.registry, self._place.repository
        absent: set[str] = set()
        wanted = set(digests) - set(self.manifests)
        for _ in range(_DEEPEST):
            if not wanted:
                return frozenset(absent)
            listed = sorted(wanted)
            found = registry.concurrently(lambda one: registry.manifest(repository, one, artifacts=True), listed)
            for digest, manifest in zip(listed, found, strict=True):
                if manifest is None:
                    absent.add(digest)
                else:
                    self._learn(manifest)
            named = {child for digest in listed if digest not in absent for child in self.manifests[digest].children}
            wanted = named - set(self.manifests) - absent
        raise RegistryError(f"indexes within indexes, more than {_DEEPEST} deep", where=str(self._place))

    def ask_about(self, digest: str) -> None:
        """Read what speaks about a manifest, where the registry keeps lists of that: no tag leads to it."""
        if self._lists_referrers is False:
            return
        listed = self._place.registry.referrers(self._place.repository, digest)
        if listed is None and self._lists_referrers:
            raise RegistryError("the registry has no list of referrers any more", where=f"{self._place}@{digest}")
        self._lists_referrers = listed is not None
        if not all(is_digest(one.digest) for one in listed or ()):
            raise RegistryError("a list of referrers names what is no digest", where=f"{self._place}@{digest}")
        self.learn_of(one.digest for one in listed or ())

    def news(self) -> frozenset[str]:
        """What new and moved tags and new manifests speak about: somebody has just signed it, so somebody wants it."""
        if self._news[0] == self.version:
            return self._news[1]
        changed = [tag for tag, digest in self.tags.items() if self._pictured.get(tag) != digest]
        spoken = {self.manifests[self.tags[tag]].subject for tag in changed if self.tags[tag] in self.manifests}
        spoken |= {one.subject for digest, one in self.manifests.items() if digest not in self._known}
        self._news = self.version, frozenset(one for one in (*spoken, *map(subject_of_tag, changed)) if one)
        return self._news[1]

    def _learn(self, manifest: Manifest) -> None:
        if not all(is_digest(child.digest) for child in manifest.manifests):
            raise RegistryError("an index names what is no digest", where=f"{self._place}@{manifest.digest}")
        self.manifests[manifest.digest] = stored(manifest, None)
        self.version += 1

    def _resolved(self, tag: str) -> str | None:
        found = self._place.registry.resolve(self._place.repository, tag, artifacts=True)
        if found is not None and not is_digest(found.digest):
            raise RegistryError("the registry gives what is no digest", where=f"{self._place}:{tag}")
        return found.digest if found else None
