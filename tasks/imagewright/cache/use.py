"""What the builds of a run read and write of the cache, as lines of a bake file.

The keys are those of buildx's cache backends (docs.docker.com, build/cache/backends). No credentials stand in them:
buildx takes those from the AWS chain and hands them to BuildKit by itself.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from imagewright.cache.names import CacheName
from imagewright.cache.scopes import Scopes
from imagewright.tags.sanitise import sanitise

if TYPE_CHECKING:
    from imagewright.config.build_models import Cache

_KEY_LENGTH = 100  # characters: a tag has 128, and the template adds some
_INLINE_TAGS = 3  # of one image, that are looked into for an inline cache


@dataclass(frozen=True, slots=True, kw_only=True)
class Cached:
    """An image, as far as its cache is concerned."""

    name: str
    repository: str
    parents: tuple[str, ...] = ()  # images, whose caches are read, too
    tags: tuple[str, ...] = ()  # full references in its own repository, for an inline cache


@dataclass(frozen=True, slots=True)
class Lines:
    """`cache-from` and `cache-to`."""

    sources: tuple[str, ...]
    targets: tuple[str, ...]


def lines_of(
    image: Cached, platform: str | None, settings: Cache, scopes: Scopes, *, registry: str, endpoint: str | None
) -> Lines:
    """The lines of one image; of one platform where its platforms build apart.

    Read is what this scope and those near it wrote, of the image and of its parents; written is one cache alone.
    """
    if settings.type == "none":
        return Lines((), ())
    if settings.type == "inline":
        found = (_line("registry", {"ref": tag}) for tag in image.tags[:_INLINE_TAGS])
        return Lines(tuple(found), () if scopes.write is None else ("type=inline",))
    read = [
        CacheName(name, scope, one)
        for name in (image.name, *image.parents)
        for scope in scopes.read
        for one in ((platform, None) if platform else (None,))
    ]
    write = [CacheName(image.name, scopes.write, platform)] if scopes.write else []
    place = _s3 if settings.type == "s3" else _registry

    def line(name: CacheName, extra: Mapping[str, str]) -> str:
        where = place(name, image, settings, registry=registry, endpoint=endpoint)
        return _line(settings.type, {**where, **extra})

    extra = {"mode": settings.mode, "ignore-error": "false" if settings.required else "true"}
    if settings.type == "registry":  # the form that every registry takes, index-like ones are refused by some
        extra = {"image-manifest": "true", "oci-mediatypes": "true", **extra}
    return Lines(tuple(line(name, {}) for name in read), tuple(line(name, extra) for name in write))


def _s3(
    name: CacheName,
    _image: Cached,
    settings: Cache,
    *,
    registry: str,  # noqa: ARG001 - a place of one kind
    endpoint: str | None,
) -> Mapping[str, str]:
    path_style = settings.path_style if settings.path_style is not None else endpoint is not None
    return {
        "region": settings.region,
        "bucket": settings.bucket or "",
        **({"endpoint_url": endpoint} if endpoint else {}),
        **({"use_path_style": "true"} if path_style else {}),
        **({"prefix": settings.prefix} if settings.prefix else {}),
        "name": str(name),
    }


def _registry(
    name: CacheName,
    image: Cached,
    settings: Cache,
    *,
    registry: str,
    endpoint: str | None,  # noqa: ARG001 - a place of one kind
) -> Mapping[str, str]:
    values = {"registry": registry, "repository": image.repository, "key": sanitise(str(name), limit=_KEY_LENGTH)}
    return {"ref": settings.ref.format(**values)}


def _line(kind: str, values: Mapping[str, str]) -> str:
    return ",".join(map(_quoted, (f"type={kind}", *(f"{key}={value}" for key, value in values.items()))))


def _quoted(text: str) -> str:
    """A field of a line of CSV (RFC 4180), as buildx reads them."""
    return '"' + text.replace('"', '""') + '"' if any(one in text for one in ',"\n') else text


def secrets_of(environ: Mapping[str, str]) -> Sequence[str]:
    """The values of the AWS variables that are secret."""
    names = ("AWS_SECRET_ACCESS_KEY", "AWS_SESSION_TOKEN")
    return [environ[name] for name in names if environ.get(name)]
