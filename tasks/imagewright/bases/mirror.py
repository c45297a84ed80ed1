"""The local registry as the place where Docker Hub's images are looked for first: what lies there, and whose it is."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any, Protocol

from imagewright.registry.model import Deletion, platform_text
from imagewright.registry.oci import image_from_tar, push_image

if TYPE_CHECKING:
    from collections.abc import Mapping

    from imagewright.bases.debian import Rootfs
    from imagewright.bases.recipe import Recipe
    from imagewright.registry.model import Blob, Manifest

# On every image that is made here, and so on what is built on it: no image hides where its base comes from.
RECIPE_LABEL = "io.imagewright.base.recipe"
ORIGIN_LABEL = "io.imagewright.base.origin"


class Mirror(Protocol):
    """What is needed of the local registry; `registry.client.Registry` has it."""

    host: str

    def manifest(self, repository: str, reference: str) -> Manifest | None: ...

    def config(self, repository: str, digest: str) -> dict[str, Any] | None: ...

    def push_blob(self, repository: str, blob: Blob) -> None: ...

    def push_manifest(self, repository: str, reference: str, manifest: Manifest) -> str: ...

    def delete_tag(self, repository: str, tag: str) -> Deletion: ...

    def delete_manifest(self, repository: str, digest: str) -> Deletion: ...


@dataclass(frozen=True, slots=True, kw_only=True)
class Served:
    """An image in the mirror: for each platform the key of the recipe that it was made by, None for other people's."""

    digest: str
    keys: Mapping[str, str | None]
    dates: Mapping[str, str]  # of the newest package in each platform's, YYYY-MM-DD

    @property
    def packages(self) -> str:
        """The date of the newest package in it, YYYY-MM-DD."""
        return max(self.dates.values(), default="")

    @property
    def is_ours(self) -> bool:
        """Whether all of it was made here: only such an image is ever replaced or deleted."""
        return all(self.keys.values())


def look(mirror: Mirror, repository: str, tag: str) -> Served | None:
    """What the mirror has under the tag; None where there is nothing."""
    top = mirror.manifest(repository, tag)
    if top is None:
        return None
    digests = [child.digest for child in top.manifests if not child.attests] if top.is_index else [top.digest]
    keys: dict[str, str | None] = {}
    dates: dict[str, str] = {}
    for digest in digests:
        manifest = mirror.manifest(repository, digest)
        config = mirror.config(repository, manifest.config.digest) if manifest and manifest.config else None
        if config:
            labels = config.get("config", {}).get("Labels") or {}
            keys[platform_text(config)] = labels.get(RECIPE_LABEL)
            dates[platform_text(config)] = str(config.get("created", ""))[:10]
    return Served(digest=top.digest, keys=keys, dates=dates)


def publish(mirror: Mirror, repository: str, tag: str, made: Mapping[Recipe, Rootfs]) -> Served:
    """Push root filesystems as one image, under a tag that has nothing of other people."""
    images = [
        image_from_tar(
            rootfs.tar,
            platform=recipe.platform,
            created=rootfs.created,
            labels={
                ORIGIN_LABEL: f"made with mmdebstrap from the packages of Debian {recipe.suite}",
                RECIPE_LABEL: recipe.key,
            },
            command=["bash"],
        )
        for recipe, rootfs in made.items()
    ]
    digest = push_image(mirror, repository, tag, images)
    return Served(
        digest=digest,
        keys={recipe.platform: recipe.key for recipe in made},
        dates=dates_of(made),
    )


def dates_of(made: Mapping[Recipe, Rootfs]) -> Mapping[str, str]:
    """The date of the newest package in each platform's root filesystem, YYYY-MM-DD."""
    return {
        recipe.platform: f"{datetime.fromtimestamp(rootfs.created, UTC):%Y-%m-%d}" for recipe, rootfs in made.items()
    }


def withdraw(mirror: Mirror, repository: str, tag: str) -> bool:
    """Delete a tag whose image was made here; whether there was one. Other people's images stay."""
    served = look(mirror, repository, tag)
    if served is None or not served.is_ours:
        return False
    if mirror.delete_tag(repository, tag) is Deletion.UNSUPPORTED:
        mirror.delete_manifest(repository, served.digest)
    return True
