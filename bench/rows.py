"""The rows of the table: what is measured, against which peer, and how far it may be off."""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable, Mapping
from contextlib import ExitStack
from functools import cache
from pathlib import Path

from bench.aliases import alias_rows
from bench.builds import build_rows
from bench.cache import cache_rows
from bench.changed import changed_rows
from bench.cleanup import cleanup_rows
from bench.generate import generate
from bench.measure import Command, Row
from bench.ours import INVOKE, ROOT, output, own_cache
from bench.peer import bake_building, bake_printing
from bench.promotion import promotion_rows
from imagewright.config.load import load
from imagewright.services.credentials import s3_environment
from imagewright.services.places import Places

IMAGES = 1000


def rows(scratch: Path, ending: ExitStack) -> Mapping[str, Callable[[], Row]]:
    """Each row by its name; calling it prepares what it needs below `scratch`. CannotRunError where that fails.

    `ending` stops what the rows have started.
    """

    @cache
    def many() -> Path:
        root = scratch / "many"
        generate(root, IMAGES)
        bake = output(INVOKE, "plan", "all", "--bake", cwd=root, env=own_cache(scratch))
        (root / "bake.json").write_text(bake)
        return root

    return {
        "launcher": launcher,
        "list tasks": lambda: list_tasks(scratch),
        f"plan {IMAGES} images": lambda: plan(many(), scratch, first=False),
        f"plan {IMAGES} images, first call": lambda: plan(many(), scratch, first=True),
        **changed_rows(scratch, ending),
        **alias_rows(),
        **promotion_rows(scratch, ending),
        **cleanup_rows(scratch, ending),
        **cache_rows(scratch, ending),
        **build_rows(scratch, ending),
        "build snapcast, nothing to do": lambda: build_again(scratch),
        "build all, no cache": lambda: build_all(scratch),
    }


def launcher() -> Row:
    """What `./inv` adds to Invoke when there is nothing to make."""
    return Row(
        name="launcher",
        ours=Command(args=(str(ROOT / "inv"), "--version"), cwd=ROOT),
        peer=Command(args=(INVOKE, "--version"), cwd=ROOT),
        how="difference",
        limit=0.03,
        runs=20,
    )


def list_tasks(scratch: Path) -> Row:
    """`invoke -l` here and in a folder with an empty tasks.py (for which Invoke exits with 1: there are no tasks)."""
    empty = scratch / "empty"
    empty.mkdir()
    (empty / "tasks.py").touch()
    return Row(
        name="list tasks",
        ours=Command(args=(INVOKE, "-l"), cwd=ROOT),
        peer=Command(args=(INVOKE, "-l"), cwd=empty, codes=(0, 1)),
        how="ratio",
        limit=1.25,
        runs=20,
    )


def plan(root: Path, scratch: Path, *, first: bool) -> Row:
    """The plan of all images against `docker buildx bake --print` of the same targets."""
    env = own_cache(scratch)
    peer = bake_printing(ROOT)
    return Row(
        name=f"plan {IMAGES} images" + (", first call" if first else ""),
        ours=Command(
            args=(INVOKE, "plan", "all", "--json"),
            cwd=root,
            env=env,
            before=(lambda: shutil.rmtree(scratch / "cache", ignore_errors=True)) if first else None,
        ),
        peer=Command(args=(*peer.args, "--file", "bake.json"), cwd=root, env=peer.env),
        how="ratio",
        limit=3 if first else 1,
        runs=7,
    )


def build_again(scratch: Path) -> Row:
    """A build for which everything is there, against bake of the plan's own file on the same builder."""
    return Row(
        name="build snapcast, nothing to do",
        ours=Command(args=(INVOKE, "build", "snapcast"), cwd=ROOT),
        peer=bake(scratch, "snapcast"),
        how="difference",
        limit=0.35,
        runs=7,
    )


def build_all(scratch: Path) -> Row:
    """Everything from nothing, against one call of bake; sources and packages come over the network in both."""
    return Row(
        name="build all, no cache",
        ours=Command(args=(INVOKE, "build", "all", "--no-cache"), cwd=ROOT),
        peer=bake(scratch, "all", "--no-cache"),
        how="ratio",
        limit=1.1,
        runs=2,
        warm_up=False,
    )


def bake(scratch: Path, names: str, *options: str) -> Command:
    """Plain bake of the file that `invoke plan NAMES --bake` prints, after a build of ours: base images are there."""
    output(INVOKE, "build", names, cwd=ROOT)
    file = scratch / f"{names}.json"
    file.write_text(output(INVOKE, "plan", names, "--bake", cwd=ROOT))
    peer = bake_building(ROOT)
    places = Places.of(load(ROOT, os.environ), os.environ, ROOT)  # the cache's keys are for both
    env = {**peer.env, **s3_environment(places)}
    return Command(args=(*peer.args, "--file", str(file), *options), cwd=ROOT, env=env)
