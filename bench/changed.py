"""The rows of change detection: `changed` in large repositories, `build-changed` where all is published."""

from __future__ import annotations

import shutil
import socket
from collections.abc import Callable, Mapping
from contextlib import ExitStack
from functools import cache, partial
from pathlib import Path

from bench.generate import generate, generate_layered
from bench.measure import Command, Row
from bench.ours import INVOKE, output, own_cache
from bench.peer import bake_building

FILES_OF_AN_IMAGE = 50
SHORT, LONG = 100, 10_000  # commits
PUBLISHED = 50

# What anyone has to pay for, whatever decides: Invoke with its tasks, and git's look at the whole work tree.
LIST_AND_DIFF = ("sh", "-c", '"$0" -l && git diff --name-only HEAD~1', INVOKE)


def changed_rows(scratch: Path, ending: ExitStack) -> Mapping[str, Callable[[], Row]]:
    """Each row by its name, like `bench.rows.rows`; `ending` stops what a row has started."""

    @cache
    def repository(images: int, commits: int) -> Path:
        root = scratch / f"{images}-images-{commits}-commits" / "repository"
        generate(root, images, files=images * FILES_OF_AN_IMAGE, commits=commits)
        return root

    def against_git(name: str, *, first: bool) -> Row:
        root = repository(1000, LONG)
        return Row(
            name=name,
            ours=changed(root, first=first),
            peer=Command(args=LIST_AND_DIFF, cwd=root),
            how="ratio",
            limit=3 if first else 2,
            runs=7,
        )

    def memory(name: str, *, first: bool) -> Row:
        root = repository(1000, LONG)
        return Row(
            name=name,
            ours=changed(root, first=first),
            peer=Command(args=LIST_AND_DIFF, cwd=root),
            how="peak",
            limit=150,
            runs=3,
            warm_up=not first,
        )

    def growth(name: str, *, more: int, fewer: int, limit: float) -> Row:
        """What is above `invoke -l`, in a repository and in one with fewer images, and as many fewer files."""
        larger, smaller = repository(more, SHORT), repository(fewer, SHORT)
        return Row(
            name=name,
            ours=changed(larger),
            peer=changed(smaller),
            floor=Command(args=(INVOKE, "-l"), cwd=smaller),
            how="ratio",
            limit=limit,
            runs=7,
        )

    def history(name: str) -> Row:
        longer, shorter = repository(1000, LONG), repository(1000, SHORT)
        return Row(name=name, ours=changed(longer), peer=changed(shorter), how="ratio", limit=1.2, runs=7)

    def nothing_to_do(name: str) -> Row:
        """The registry is asked for each image, against bake, which builds and pushes what is all there."""
        root, env = publish(scratch / "published", ending)
        peer = bake_building(root, env)
        return Row(
            name=name,
            ours=Command(args=(INVOKE, "build-changed", "--since", "registry"), cwd=root, env=env),
            peer=Command(args=(*peer.args, "--file", str(root.parent / "bake.json")), cwd=root, env=peer.env),
            how="ratio",
            limit=0.05,
            runs=3,
        )

    made: dict[str, Callable[[str], Row]] = {
        "changed in 1000 images": partial(against_git, first=False),
        "changed in 1000 images, first call": partial(against_git, first=True),
        "changed in 1000 images, memory": partial(memory, first=False),
        "changed in 1000 images, first call, memory": partial(memory, first=True),
        "changed, 500 images to 250": partial(growth, more=500, fewer=250, limit=2.25),
        "changed, 1000 images to 250": partial(growth, more=1000, fewer=250, limit=4.5),
        f"changed, {LONG} commits to {SHORT}": history,
        f"build-changed, {PUBLISHED} images, nothing to do": nothing_to_do,
    }
    return {name: partial(make, name) for name, make in made.items()}


def changed(root: Path, *, first: bool = False) -> Command:
    """`invoke changed` after a commit of one file; `first`: with nothing remembered from an earlier call."""
    env = own_cache(root.parent)
    return Command(
        args=(INVOKE, "changed", "--since", "HEAD~1"),
        cwd=root,
        env=env,
        before=(lambda: shutil.rmtree(env["IMAGEWRIGHT_CACHE_DIR"], ignore_errors=True)) if first else None,
    )


def publish(folder: Path, ending: ExitStack) -> tuple[Path, Mapping[str, str]]:
    """Build and push images with services of the bench's own; the repository, and the environment for it.

    The services' programs are the user's: it takes minutes to make them.
    """
    root = folder / "repository"
    generate_layered(root, PUBLISHED)
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    env = {"IMAGEWRIGHT_STATE_DIR": str(folder / "state"), "IMAGEWRIGHT_REGISTRY": f"localhost:{port}"}
    ending.callback(output, INVOKE, "stop", "all", "--purge", "--yes", cwd=root, env=env)
    output(INVOKE, "build", "all", cwd=root, env=env)
    (folder / "bake.json").write_text(output(INVOKE, "plan", "all", "--bake", cwd=root, env=env))
    return root, env
