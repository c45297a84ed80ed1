"""A repository as it is at this moment, held against the picture that the plan was made from."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

from imagewright.cleanup.names import subject_of_tag
from imagewright.cleanup.stored import stored
from imagewright.errors import RegistryError
from imagewright.references import is_digest, is_tag

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Iterable, Mapping

    from imagewright.cleanup.model import Picture, Stored
    from imagewright.registry.copy import Place
    from imagewright.registry.model import Manifest

_FEW = 100  # tags that are looked at one by one, every time
_BELIEVED = 30.0  # seconds; of more tags than that, those that were there before are not asked for again so soon
_DEEPEST = 32


class Look:
    """Tags and manifests, kept up to date by looking again. Raises what the registry's client raises."""

    def __init__(
        self, place: Place, picture: Picture, doomed: Collection[str], *, clock: Callable[[], float] = time.monotonic
    ) -> None:
        """`doomed` are the tags that are to go: all others of the picture are expected to be there."""
        self._place = place
        self._clock = clock  # in seconds
        self._looked: float | None = None
        self._pictured = picture.tags
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
        listed = tuple(dict.fromkeys((*(listed or ()), *self._kept)))  # a list may also be cut short
        if not all(map(is_tag, listed)):
            raise RegistryError("the registry lists a tag that is none", where=str(self._place))
        is_old = self._looked is None or self._clock() - self._looked > _BELIEVED
        asked = listed if is_old or len(listed) <= _FEW else [tag for tag in listed if tag not in self.tags]
        found = dict(zip(asked, registry.concurrently(self._resolved, asked), strict=True))
        if len(asked) == len(listed):
            self._looked = self._clock()
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

    def news(self) -> frozenset[str]:
        """What new and moved tags speak about: somebody has just signed it, so somebody wants it."""
        changed = [tag for tag, digest in self.tags.items() if self._pictured.get(tag) != digest]
        spoken = {self.manifests[self.tags[tag]].subject for tag in changed if self.tags[tag] in self.manifests}
        return frozenset(one for one in (*spoken, *map(subject_of_tag, changed)) if one)

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


def held(manifests: Mapping[str, Stored], tags: Mapping[str, str], roots: Iterable[str]) -> frozenset[str]:
    """All that has to stay for `roots` to be whole: what they name, and what speaks about any of that."""
    leads: dict[str, list[str]] = {digest: list(one.children) for digest, one in manifests.items()}
    for digest, one in manifests.items():
        if one.subject:
            leads.setdefault(one.subject, []).append(digest)
        for attestation, about in one.attests.items():
            leads.setdefault(about, []).append(attestation)
    for tag, digest in tags.items():
        if subject := subject_of_tag(tag):
            leads.setdefault(subject, []).append(digest)
    found: set[str] = set()
    level = set(roots)
    while level:
        found |= level
        level = {other for digest in level for other in leads.get(digest, ())} - found
    return frozenset(found)
