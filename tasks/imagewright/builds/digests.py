"""What one runner pushed by its digest, told to the one that joins it: as small files, or by tags in the registry.

A file is `<folder>/<image>/<platform>.json`:

    {"schema": 1, "image": "app", "repository": "ghcr.io/me/app", "platforms": ["linux/arm64"],
     "digest": "sha256:…", "commit": "<40 hex>[-dirty]|null", "fingerprint": "sha256:…|null"}
"""

from __future__ import annotations

import hashlib
import json
import os
import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any
from urllib.parse import quote

from imagewright.errors import EnvironmentMissingError, RegistryError, UsageError
from imagewright.platforms import PATTERN, normal
from imagewright.references import is_digest

SCHEMA = 1  # of the files; raised when a reader would have to change
FOLDER = "dist/digests"
REGISTRY = "registry"  # the word that stands for tags, where a folder can stand

_PLATFORM = re.compile(PATTERN)
_LONGEST = 60  # characters of platforms in a name


class MissingPartError(RegistryError):
    """Platforms of an image were not pushed, or not told of."""


@dataclass(frozen=True, slots=True, kw_only=True)
class PushedPart:
    """Some platforms of an image, pushed by digest."""

    image: str
    repository: str  # "ghcr.io/me/app"
    platforms: tuple[str, ...]
    digest: str  # of the manifest, or of the index where there are several platforms
    commit: str | None  # as `Head.revision` has it
    fingerprint: str | None  # of the image with all platforms that it is configured for


@dataclass(frozen=True, slots=True, kw_only=True)
class Wanted:
    """What an image must have before it is joined."""

    repository: str
    platforms: tuple[str, ...]
    commit: str | None  # as `Head.revision` has it


@dataclass(frozen=True, slots=True, kw_only=True)
class Whole:
    """An image of which all parts are there, and agree."""

    image: str
    repository: str
    digests: Mapping[str, str]  # by platform, in the order in which they are wanted
    fingerprint: str | None
    left_out: tuple[str, ...] = ()  # platforms that were pushed and are not wanted


def write(folder: Path, part: PushedPart) -> Path:
    """Keep a part as a file, whole or not at all; the file. Git ignores the folder from then on.

    EnvironmentMissingError where it cannot be written.
    """
    name = quote(part.image, safe="")
    file = folder / name / f"{_platforms(part.platforms)}.json"
    fresh = file.with_name(f".{file.name}.{os.getpid()}")
    ignore = folder / ".gitignore"
    try:
        file.parent.mkdir(parents=True, exist_ok=True)
        if not ignore.exists():
            ignore.write_text("*\n", encoding="utf-8")
        fresh.write_text(json.dumps({"schema": SCHEMA, **asdict(part)}, indent=2) + "\n", encoding="utf-8")
        fresh.replace(file)
    except OSError as error:
        raise EnvironmentMissingError(f"the digest cannot be kept: {error.strerror}", where=str(file)) from error
    return file


def read(folder: Path) -> tuple[PushedPart, ...]:
    """The parts of a folder, those in folders below it included (each runner's artifact may have one of its own).

    UsageError where there is no such folder, or a file is not one of these or is not whole.
    """
    if not folder.is_dir():
        raise UsageError(
            "there is no such folder",
            where=str(folder),
            hint="`invoke build NAMES --platform … --push-by-digest` writes it; bring those of all runners here",
        )
    found = (_read(file) for file in sorted(folder.rglob("*.json")))
    return tuple(dict.fromkeys(found))


def complete(parts: Iterable[PushedPart], wanted: Mapping[str, Wanted]) -> dict[str, Whole | RegistryError]:
    """For each wanted image, in their order, what to join; or, where that would not be the whole image, why not."""
    by_image: dict[str, list[PushedPart]] = {name: [] for name in wanted}
    for part in parts:
        if part.image in by_image:
            by_image[part.image].append(part)
    return {name: _completed(name, by_image[name], one) for name, one in wanted.items()}


def part_prefix(image: str, commit: str | None, fingerprint: str | None) -> str:
    """The beginning of the tags on an image's parts: `part-<12 hex>-`.

    The digits stand for the image, since several can share a repository, and for the commit; where that does not tell
    the state (it is `-dirty`, or there is none), for the fingerprint. UsageError where nothing tells it.
    """
    state = commit if commit and not commit.endswith("-dirty") else fingerprint
    if state is None:
        raise UsageError(
            f"nothing tells the parts of this state of {image} from those of another",
            hint="commit the work tree, or hand them on as files: `--digests DIR`",
        )
    return f"part-{hashlib.sha256(f'{image} {state}'.encode()).hexdigest()[:12]}-"


def part_tag(part: PushedPart) -> str:
    """The tag under which a part waits in the registry: `part-0123456789ab-linux-arm64`."""
    return part_prefix(part.image, part.commit, part.fingerprint) + _platforms(part.platforms)


def _platforms(platforms: Iterable[str]) -> str:
    """For names of files and tags: `linux-amd64`, of several `linux-amd64.linux-arm64`."""
    text = ".".join(sorted(platform.replace("/", "-") for platform in platforms))
    return text if len(text) <= _LONGEST else hashlib.sha256(text.encode()).hexdigest()[:12]


def _read(file: Path) -> PushedPart:
    try:
        return _checked(json.loads(file.read_bytes()))
    except OSError as error:
        raise UsageError(f"it cannot be read: {error.strerror}", where=str(file)) from error
    except (AttributeError, KeyError, RecursionError, TypeError, ValueError) as error:
        raise UsageError(
            "this is no whole file of a digest",
            where=str(file),
            hint="bring it here again, or build that part again; nothing is joined with it",
        ) from error


def _checked(document: Any) -> PushedPart:
    if document["schema"] != SCHEMA:
        raise ValueError(document["schema"])
    part = PushedPart(
        **{key: document[key] for key in ("image", "repository", "digest", "commit", "fingerprint")},
        platforms=tuple(document["platforms"]),
    )
    texts = (part.image, part.repository, part.digest)
    optional = (part.commit, part.fingerprint)
    if not (
        all(isinstance(one, str) and one for one in texts)
        and all(one is None or isinstance(one, str) for one in optional)
        and is_digest(part.digest)
        and part.platforms
        and all(map(_PLATFORM.fullmatch, part.platforms))
    ):
        raise ValueError(part)
    return part


def _completed(name: str, parts: Sequence[PushedPart], wanted: Wanted) -> Whole | RegistryError:
    if problem := _contradiction(parts, wanted):
        return RegistryError(problem[0], where=name, hint=problem[1])
    pushed = sorted((normal(platform), part.digest) for part in parts for platform in part.platforms)
    digests: dict[str, set[str]] = {}
    for platform, digest in pushed:
        digests.setdefault(platform, set()).add(digest)
    asked = {normal(platform): platform for platform in wanted.platforms}
    for platform, found in digests.items():
        if len(found) > 1:
            return RegistryError(
                f"{platform} was pushed {len(found)} times with different content: {', '.join(sorted(found))}",
                where=name,
                hint="take away the files of older builds, and build the part again",
            )
    missing = [platform for normal, platform in asked.items() if normal not in digests]
    if missing:
        has = f"there is {', '.join(digests)}" if digests else "no part of it was pushed"
        return MissingPartError(
            f"{', '.join(missing)} is missing: {has}",
            where=name,
            hint=f"`invoke build {name} --platform {','.join(missing)} --push-by-digest`; nothing of it was tagged",
        )
    return Whole(
        image=name,
        repository=wanted.repository,
        digests={platform: min(digests[normal]) for normal, platform in asked.items()},
        fingerprint=parts[0].fingerprint,
        left_out=tuple(platform for platform in digests if platform not in asked),
    )


def _contradiction(parts: Sequence[PushedPart], wanted: Wanted) -> tuple[str, str] | None:
    """What speaks against making one image of these, and what to do."""
    repositories = sorted({part.repository for part in parts})
    if set(repositories) - {wanted.repository}:
        return (
            f"a part is in {', '.join(repositories)}, and the image belongs in {wanted.repository}",
            "all runners need the same configuration and the same IMAGEWRIGHT_REGISTRY",
        )
    commits = sorted({part.commit or "no commit" for part in parts})
    if len(commits) > 1:
        return f"its parts are of different commits: {', '.join(commits)}", "build all of them from one commit"
    if parts and parts[0].commit != wanted.commit:
        return (
            f"its parts are of {commits[0]}, and here is {wanted.commit or 'no commit'}",
            "names come from the commit: check out the one that was built",
        )
    fingerprints = sorted({part.fingerprint or "none" for part in parts})
    if len(fingerprints) > 1:
        return (
            f"its parts were not made from the same: their fingerprints are {', '.join(fingerprints)}",
            "build all of them with the same files, settings and --build-arg",
        )
    return None
