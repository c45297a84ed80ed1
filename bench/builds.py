"""The rows of builds: a fresh machine with the cache in S3, and the scheduler against plain bake and plain build."""

from __future__ import annotations

import os
import shutil
import socket
from collections.abc import Callable, Mapping
from contextlib import ExitStack
from functools import cache, partial
from pathlib import Path

from bench.measure import Command, How, Row
from bench.ours import INVOKE, output
from bench.peer import bake_building
from imagewright.config.models import Settings
from imagewright.services import manager
from imagewright.services.credentials import s3_environment
from imagewright.services.places import Places

WIDE, OVERHEAD = 10, 40  # images
BASE = "debian:trixie-slim"
# About 200 MB of packages, as the base of many a repository has them.
PACKAGES = "build-essential python3 git curl ca-certificates openssh-client"
# What an image of a homelab does: it installs a program. The archive's index is fetched by each.
PROGRAMS = ("curl", "git", "jq", "make", "nano", "tree", "rsync", "zip", "wget", "less")
STEP = "RUN apt-get update && apt-get install -y --no-install-recommends {program}"

TIERS = {
    "base": f"FROM {BASE}\nRUN apt-get update && apt-get install -y --no-install-recommends {PACKAGES}\n",
    "tooling": "FROM {registry}/base\nCOPY tooling.txt /etc/tooling\nRUN python3 -m compileall -q /usr/lib/python3\n",
    "app": "FROM {registry}/tooling\nCOPY --link app.txt /srv/app\n",
}


class Machine:
    """A machine with a builder, a registry and an S3 store of its own, below one folder."""

    def __init__(self, folder: Path, ending: ExitStack) -> None:
        self.root = folder / "repository"
        registry, store = _free_port(), _free_port()
        self.registry = f"localhost:{registry}"
        self.env = {
            "IMAGEWRIGHT_STATE_DIR": str(folder / "state"),
            "IMAGEWRIGHT_REGISTRY": self.registry,
            "IMAGEWRIGHT_SERVICES_S3_PORT": str(store),
            "DOCKER_CONFIG": str(folder / "docker"),
        }
        self.places = Places.of(_settings(self.registry, store), {**os.environ, **self.env}, folder)
        ending.callback(self._end)

    def write(self, dockerfiles: Mapping[str, str], *, cached: bool) -> None:
        """A repository of these images, with a cache in S3 or without."""
        shutil.rmtree(self.root, ignore_errors=True)
        (self.root / "Dockerfiles").mkdir(parents=True)
        (self.root / "config").mkdir()
        (self.root / "tasks.py").write_text("from imagewright import ns\n")
        store = "cache: {type: s3, bucket: layers, endpoint_url: local}\n" if cached else ""
        (self.root / "config/images.yml").write_text(f"bases: {{'{BASE}': {{debootstrap: trixie}}}}\n{store}")
        for name, text in dockerfiles.items():
            dockerfile = text.replace("{registry}", self.registry)
            (self.root / f"Dockerfiles/Dockerfile.{name}").write_text(dockerfile)
        for name in ("app", "tooling"):
            (self.root / f"{name}.txt").write_text("1\n")
        for args in (("init", "-q"), ("add", "-A"), ("commit", "-qm", "all")):
            output("git", "-c", "user.name=bench", "-c", "user.email=bench@localhost", *args, cwd=self.root)

    def invoke(self, *args: str, before: Callable[[], None] | None = None) -> Command:
        """A call of ours."""
        return Command(args=(INVOKE, *args), cwd=self.root, env=self.env, before=before)

    def bake(self, *options: str) -> Command:
        """Plain bake of what `invoke plan all --bake` prints."""
        file = self.root.with_name("bake.json")
        file.write_text(output(INVOKE, "plan", "all", "--bake", cwd=self.root, env=self.env))
        peer = bake_building(self.root, self.env)
        args = (*peer.args, "--file", str(file), *options)
        return Command(args=args, cwd=self.root, env={**peer.env, **s3_environment(self.places)})

    def fresh(self) -> None:
        """Empty the builder, as a machine that is new is."""
        manager.stop("buildkitd", self.places, say=_silent)
        shutil.rmtree(self.places.service("buildkitd") / "data", ignore_errors=True)
        manager.ensure(["buildkitd"], self.places, environ={**os.environ, **self.env}, say=_silent)

    def _end(self) -> None:
        for name in manager.names(manager.ALL):
            manager.stop(name, self.places, say=_silent)


def build_rows(scratch: Path, ending: ExitStack) -> Mapping[str, Callable[[], Row]]:
    """Each row by its name, like `bench.rows.rows`; `ending` stops what is started."""

    @cache
    def tiers() -> Machine:
        machine = Machine(scratch / "tiers", ending)
        machine.write(TIERS, cached=True)
        output(INVOKE, "build", "app", cwd=machine.root, env=machine.env)
        return machine

    @cache
    def machine(name: str, dockerfiles: Callable[[], Mapping[str, str]]) -> Machine:
        made = Machine(scratch / name, ending)
        made.write(dockerfiles(), cached=False)
        output(INVOKE, "build", "all", cwd=made.root, env=made.env)
        return made

    def after_a_change(name: str, *, of: str | None, limit: float) -> Row:
        where = tiers()

        def changed() -> None:
            where.fresh()
            if of:
                file = where.root / f"{of}.txt"
                file.write_text(f"{int(file.read_text()) + 1}\n")

        args = ("build", "app") if of else ("build-changed", "--since", "registry")
        return Row(
            name=name,
            ours=where.invoke(*args, before=changed),
            peer=where.invoke("build", "app", "--no-cache", before=where.fresh),
            how="ratio",
            limit=limit,
            runs=3,
            warm_up=False,
        )

    def scheduled(name: str, images: Callable[[], Mapping[str, str]], limit: float) -> Row:
        where = machine(images.__name__, images)
        ours = where.invoke("build", "all", "--no-cache")
        return Row(name=name, ours=ours, peer=where.bake("--no-cache"), how="ratio", limit=limit, runs=3)

    def unscheduled(name: str, limit: float) -> Row:
        where = machine(wide.__name__, wide)
        bake = where.bake("--no-cache")
        each = 'for one in $(seq 1 "$0"); do "$@" "image$one" || exit 1; done'
        peer = Command(args=("sh", "-c", each, str(WIDE), *bake.args), cwd=where.root, env=bake.env)
        ours = where.invoke("build", "all", "--no-cache")
        return Row(name=name, ours=ours, peer=peer, how="ratio", limit=limit, runs=3)

    def overhead(name: str, how: How, limit: float) -> Row:
        where = machine(small.__name__, small)
        return Row(name=name, ours=where.invoke("build", "all"), peer=where.bake(), how=how, limit=limit, runs=5)

    made: dict[str, Callable[[str], Row]] = {
        "app change, fresh builder, S3": partial(after_a_change, of="app", limit=0.05),
        "tooling change, fresh builder, S3": partial(after_a_change, of="tooling", limit=0.5),
        "nothing changed, fresh builder": partial(after_a_change, of=None, limit=0.01),
        f"{WIDE} images, against one bake": partial(scheduled, images=wide, limit=1.1),
        f"a chain of {WIDE}, against one bake": partial(scheduled, images=chain, limit=1.15),
        f"{WIDE} images, against one build after the other": partial(unscheduled, limit=1 / 1.5),
        f"{OVERHEAD} cached images, against one bake": partial(overhead, how="difference", limit=0.15 * OVERHEAD),
    }
    return {name: partial(make, name) for name, make in made.items()}


def wide() -> Mapping[str, str]:
    """Images that have nothing to do with each other."""
    return {
        f"image{number}": f"FROM {BASE}\n{STEP.format(program=PROGRAMS[number - 1])}\n" for number in range(1, WIDE + 1)
    }


def chain() -> Mapping[str, str]:
    """Images of which each is built on the one before."""
    parents = (BASE, *(f"{{registry}}/image{number}" for number in range(1, WIDE)))
    return {
        f"image{number}": f"FROM {parent}\n{STEP.format(program=PROGRAMS[number - 1])}\n"
        for number, parent in enumerate(parents, 1)
    }


def small() -> Mapping[str, str]:
    """Images that cost nothing."""
    return {f"image{number}": f"FROM scratch\nCOPY app.txt /{number}\n" for number in range(1, OVERHEAD + 1)}


def _settings(registry: str, s3_port: int) -> Settings:
    return Settings.model_validate({"registry": registry, "services": {"s3_port": s3_port}})


def _free_port() -> int:
    with socket.socket() as one:
        one.bind(("127.0.0.1", 0))
        return int(one.getsockname()[1])


def _silent(_text: str) -> None:
    pass
