"""What an image is made from, as the command line has it: for the plan, and for the label that says so."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import replace

from imagewright.builds.plan import Inputs
from imagewright.builds.request import Request
from imagewright.changes.snapshot import Snapshot, Unknown
from imagewright.images.model import Image


def adjusted(image: Image, asked: Request) -> Image:
    """The image as the command line has it built."""
    if not (asked.platforms or asked.build_args or asked.secret_build_args):
        return image
    return replace(
        image,
        # What is pushed by its digest is a part of the image that it is with all of its platforms.
        platforms=(() if asked.by_digest else asked.platforms) or image.platforms,
        build_args={**image.build_args, **dict(asked.build_args)},
        secret_build_args=tuple(dict.fromkeys((*image.secret_build_args, *asked.secret_build_args))),
    )


def recorded(snapshot: Snapshot, names: Collection[str]) -> Mapping[str, Inputs]:
    """How many files these images depend on, and their fingerprints; those that cannot be told are left out."""
    found: dict[str, Inputs] = {}
    for name in names:
        own, fingerprint = snapshot.inputs(name), snapshot.fingerprint(name)
        if not isinstance(own, Unknown) and fingerprint is not None:
            found[name] = Inputs(files=own.count, fingerprint=fingerprint)
    return found
