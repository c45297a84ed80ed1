"""A cleanup from the command line's words to the last deletion, with registries in memory."""

from __future__ import annotations

import json
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any

import pytest

from imagewright.cleanup.vendors.model import Capabilities
from imagewright.cli.cleaning import Cleaning
from imagewright.cli.cleanup_doors import Doors
from imagewright.cli.cleanup_options import wishes
from imagewright.cli.cleanup_selection import Selection
from imagewright.cli.cleanup_sizes import show_sizes
from imagewright.cli.project import Project
from imagewright.errors import ConfigError, EnvironmentMissingError, ImagewrightError, RegistryError, UsageError
from imagewright.registry.copy import Place
from imagewright.registry.model import Deletion
from tests.cleanup.stock import NOW, Stock
from tests.registry.memory import Memory

if TYPE_CHECKING:
    from collections.abc import Collection, Mapping
    from pathlib import Path

    from imagewright.cleanup.vendors.model import Deleter, Listing
    from imagewright.registry.client import Registry
    from tests.cli.conftest import Invoke

HOST, BACKUP = "r.example", "backup.example"
ALL = Capabilities(kind="distribution", deletes_tags=True, deletes_manifests=True)


@dataclass
class MemoryDoor:
    """Deletes from a registry in memory what was approved, and nothing else."""

    memory: Memory
    repository: str
    can: Capabilities
    tags: Mapping[str, str] = field(default_factory=dict)
    manifests: Collection[str] = ()

    def __enter__(self) -> Deleter:
        return self

    def __exit__(self, *error: object) -> None:
        pass

    def close(self) -> None:
        pass

    def listing(self) -> Listing | None:
        return None

    def approve(self, tags: Mapping[str, str], manifests: Collection[str]) -> None:
        self.tags, self.manifests = tags, manifests

    def delete_tag(self, tag: str) -> Deletion:
        assert self.memory.tags[self.repository, tag] == self.tags[tag]
        del self.memory.tags[self.repository, tag]
        return Deletion.DONE

    def delete_manifest(self, digest: str) -> Deletion:
        assert digest in self.manifests
        assert digest not in [of for (where, _), of in self.memory.tags.items() if where == self.repository]
        del self.memory.manifests[self.repository, digest]
        return Deletion.DONE


@dataclass
class World:
    """A project whose registries are in memory."""

    root: Path
    capsys: pytest.CaptureFixture[str]
    memories: dict[str, Memory]
    can: Capabilities = ALL
    unreachable: set[str] = field(default_factory=set)  # paths whose registry does not answer
    answer: bool | None = None  # what the person says; None: nobody is there
    asked: list[str] = field(default_factory=list)

    def configure(self, text: str) -> None:
        (self.root / "config").mkdir(exist_ok=True)
        (self.root / "config/images.yml").write_text(text)

    def dockerfile(self, name: str, text: str = "FROM scratch\n") -> None:
        (self.root / "Dockerfiles").mkdir(exist_ok=True)
        (self.root / f"Dockerfiles/Dockerfile.{name}").write_text(text)

    def stock(self, repository: str, host: str = HOST) -> Stock:
        return Stock(Place(self.memories[host].client(), repository))

    def tags(self, repository: str = "app", host: str = HOST) -> set[str]:
        return {tag for where, tag in self.memories[host].tags if where == repository}

    def doors(self) -> Doors:
        def door(registry: Registry, path: str) -> Deleter:
            if path in self.unreachable:
                raise EnvironmentMissingError("the registry cannot be reached", where=path)
            return MemoryDoor(self.memories[registry.host], path, self.can)

        return Doors({}, connect=lambda host: self.memories[host].client(), door=door)

    def ask(self, question: str) -> bool:
        self.asked.append(question)
        return bool(self.answer)

    def project(self) -> Project:
        folders = {name: str(self.root.parent / "user") for name in ("IMAGEWRIGHT_CACHE_DIR", "IMAGEWRIGHT_STATE_DIR")}
        return Project(self.root, folders)

    def cleaning(self, doors: Doors, *, yes: bool, dry_run: bool, as_json: bool, **words: Any) -> Cleaning:
        project = self.project()
        selection = Selection(project, wishes(**words))
        ask = None if self.answer is None else self.ask
        return Cleaning(
            project, selection, doors, yes=yes, dry_run=dry_run, as_json=as_json, now=NOW, ask=ask
        )  # fmt: skip

    def clean(
        self, *, yes: bool = True, dry_run: bool = False, fails: type[Exception] | None = None, **words: Any
    ) -> dict[str, Any]:
        """The JSON, by repository."""
        self.capsys.readouterr()
        with self.doors() as doors:
            cleaning = self.cleaning(doors, yes=yes, dry_run=dry_run, as_json=True, **words)
            if fails:
                with pytest.raises(fails) as raised:
                    cleaning.clean()
                assert raised.type is fails
            else:
                cleaning.clean()
        document = json.loads(self.capsys.readouterr().out)
        assert document["schema"] == 1
        assert document["ok"] == (fails is None)
        return {one["repository"]: one for one in document["repositories"]}


@pytest.fixture
def world(project: Path, capsys: pytest.CaptureFixture[str]) -> World:
    world = World(project, capsys, {host: Memory(host=host) for host in (HOST, BACKUP)})
    world.configure(f"registry: {HOST}\n")
    world.dockerfile("app")
    return world


def versions(stock: Stock, count: int = 4) -> None:
    for number in range(1, count + 1):
        stock.image(f"{stock.place}-{number}", f"1.{number}", days=100 - number)


def rules(found: Mapping[str, Any]) -> dict[str, str]:
    return {one["tag"]: one["rule"] for one in found["keep"]}


class TestTheOneWhoIsAsked:
    def test_yes(self, world: World, capsys: pytest.CaptureFixture[str]) -> None:
        versions(world.stock("app"))
        world.answer = True
        with world.doors() as doors:
            world.cleaning(doors, yes=False, dry_run=False, as_json=False, keep="2").clean()
        assert world.tags() == {"1.3", "1.4"}
        assert world.asked[0].startswith(f"Delete 2 tags and 2 manifests of {HOST}/app, ")
        assert capsys.readouterr().out.startswith("TAG")

    def test_no(self, world: World, capsys: pytest.CaptureFixture[str]) -> None:
        versions(world.stock("app"))
        world.answer = False
        with world.doors() as doors:
            world.cleaning(doors, yes=False, dry_run=False, as_json=False, keep="2").clean()
        assert len(world.tags()) == 4
        assert "nothing was deleted" in capsys.readouterr().err

    def test_is_told_what_takes_minutes(self, world: World, capsys: pytest.CaptureFixture[str]) -> None:
        world.can = replace(ALL, kind="gitlab")
        versions(world.stock("app"), 99)
        world.answer = False
        with world.doors() as doors:
            world.cleaning(doors, yes=False, dry_run=False, as_json=False, keep="2", max_share="1").clean()
        assert world.asked[0].endswith(", about 1 min? [y/N] ")
        assert "97 of 99 tags and 97 manifests to delete" in (said := capsys.readouterr().err)
        assert "; it takes about 1 min\n" in said

    def test_nobody_is_asked_for_json(self, world: World) -> None:
        versions(world.stock("app"))
        world.answer = True
        world.clean(yes=False, keep="2")
        assert (len(world.tags()), world.asked) == (4, [])

    def test_nobody_is_asked_about_nothing(self, world: World) -> None:
        versions(world.stock("app"))
        world.answer = True
        with world.doors() as doors:
            world.cleaning(doors, yes=False, dry_run=False, as_json=False, keep="9").clean()
        assert world.asked == []


def test_a_dry_run_is_one_whoever_agrees(world: World) -> None:
    versions(world.stock("app"))
    found = world.clean(keep="2", dry_run=True)
    assert [one["tag"] for one in found[f"{HOST}/app"]["delete"]] == ["1.1", "1.2"]
    assert found[f"{HOST}/app"]["verified"] is None
    assert len(world.tags()) == 4


def test_all_repositories_of_the_project(world: World) -> None:
    world.dockerfile("tool")
    for name in ("app", "tool", "stranger"):
        versions(world.stock(name))

    found = world.clean(keep="2")

    assert set(found) == {f"{HOST}/app", f"{HOST}/tool"}
    assert world.tags("app") == world.tags("tool") == {"1.3", "1.4"}
    assert len(world.tags("stranger")) == 4


def test_every_registry_of_the_list(world: World) -> None:
    world.configure(f"registry: [{HOST}, {BACKUP}]\n")
    versions(world.stock("app"))
    versions(world.stock("app", BACKUP))

    world.clean(keep="2")

    assert world.tags() == world.tags(host=BACKUP) == {"1.3", "1.4"}


def test_in_use_of_one_registry_is_in_use_of_the_others(world: World, tmp_path: Path) -> None:
    world.configure(f"registry: [{HOST}, {BACKUP}]\n")
    versions(world.stock("app"))
    versions(world.stock("app", BACKUP))
    (tmp_path / "deploy.yaml").write_text(f"image: {HOST}/app:1.1\n")

    found = world.clean(keep="2", in_use=[str(tmp_path / "deploy.yaml")])

    assert world.tags() == world.tags(host=BACKUP) == {"1.1", "1.3", "1.4"}
    assert rules(found[f"{BACKUP}/app"])["1.1"] == "in use"


def test_in_use_by_the_configuration(world: World, tmp_path: Path) -> None:
    world.configure(f"registry: {HOST}\ncleanup: {{keep: 2, in_use: [../deploy]}}\n")
    versions(world.stock("app"))
    with pytest.raises(ImagewrightError, match="deploy: this is not there"):
        world.clean(fails=None)
    (tmp_path / "deploy").mkdir()
    (tmp_path / "deploy/compose.yml").write_text(f"image: {HOST}/app:1.2\n")
    world.clean()
    assert world.tags() == {"1.2", "1.3", "1.4"}


def test_nothing_says_what_to_keep(world: World) -> None:
    versions(world.stock("app"))
    with world.doors() as doors, pytest.raises(UsageError, match="nothing says what to keep"):
        world.cleaning(doors, yes=True, dry_run=False, as_json=False).clean()


def test_a_project_without_images(world: World) -> None:
    (world.root / "Dockerfiles/Dockerfile.app").unlink()
    versions(world.stock("app"))
    with world.doors() as doors, pytest.raises(ConfigError, match="`--repository HOST/NAME` cleans any"):
        world.cleaning(doors, yes=True, dry_run=False, as_json=False, keep="2").clean()
    world.clean(keep="2", repositories=[f"{HOST}/app"])
    assert world.tags() == {"1.3", "1.4"}


def test_a_pattern_that_fits_nothing_anywhere_is_told(world: World, capsys: pytest.CaptureFixture[str]) -> None:
    rules = "{minor: {tags: ['1.*'], keep: 2}, nightly: {tags: [nihgtly], keep: 1}}"
    only_tool = f"{{{HOST}/tool: {{protect: [toool]}}}}"
    world.configure(f"registry: {HOST}\ncleanup: {{protect: [app-1], rules: {rules}, repositories: {only_tool}}}\n")
    world.dockerfile("tool")
    world.dockerfile("empty")
    versions(world.stock("app"))
    world.stock("app").image("one", "app-1")
    world.stock("tool").image("two", "nothing")

    with world.doors() as doors:
        world.cleaning(doors, yes=False, dry_run=True, as_json=False).clean()

    said = [line for line in capsys.readouterr().err.splitlines() if "fits nothing" in line]
    assert said == [
        "the pattern `nightly: nihgtly` fits nothing in any of 2 repositories",
        f"the pattern `protect toool` fits nothing in {HOST}/tool",
    ]


class TestOneThatFails:
    def test_stops_no_other(self, world: World) -> None:
        world.dockerfile("tool")
        versions(world.stock("app"))
        versions(world.stock("tool"))
        world.unreachable = {"app"}

        found = world.clean(keep="2", fails=EnvironmentMissingError)

        assert "cannot be reached" in found[f"{HOST}/app"]["error"]
        assert found[f"{HOST}/app"]["deleted"] == []
        assert len(world.tags("app")) == 4
        assert world.tags("tool") == {"1.3", "1.4"}

    def test_is_refused(self, world: World) -> None:
        world.dockerfile("tool")
        versions(world.stock("app"), count=9)
        versions(world.stock("tool"))

        found = world.clean(keep="2", fails=ImagewrightError)

        assert found[f"{HOST}/app"]["refused"]
        assert len(world.tags("app")) == 9
        assert world.tags("tool") == {"1.3", "1.4"}

    @pytest.mark.parametrize("dry_run", [True, False])
    def test_an_unreadable_manifest(self, world: World, dry_run: bool) -> None:
        versions(world.stock("app"))
        digest = world.memories[HOST].tags["app", "1.1"]
        del world.memories[HOST].manifests["app", digest]

        found = world.clean(keep="2", dry_run=dry_run, fails=ImagewrightError)

        assert found[f"{HOST}/app"]["refused"]
        assert found[f"{HOST}/app"]["delete"] == []
        assert len(world.tags("app")) == 4


def test_a_registry_that_can_only_be_planned_for(world: World) -> None:
    versions(world.stock("app"))
    world.can = Capabilities(
        kind="unknown", deletes_tags=False, deletes_manifests=False, notes=("nobody knows this registry",)
    )

    found = world.clean(keep="2", dry_run=True)
    assert {one["tag"] for one in found[f"{HOST}/app"]["delete"]} == {"1.1", "1.2"}
    assert found[f"{HOST}/app"]["refused"] == "nobody knows this registry"
    world.clean(keep="2", fails=ImagewrightError)
    assert len(world.tags()) == 4


class TestParents:
    @pytest.fixture
    def layered(self, world: World) -> World:
        """app:old is built on base:1.1, app:new on base:1.2; base has two newer ones."""
        world.dockerfile("base")
        world.dockerfile("app", f"FROM {HOST}/base\n")
        base, app = world.stock("base"), world.stock("app")
        versions(base)
        for tag, of, days in (("old", "1.1", 50), ("new", "1.2", 10)):
            parent = world.memories[HOST].manifests["base", world.memories[HOST].tags["base", of]]
            own = app.image(f"own {tag}", days=days)
            for layer in parent.layers:
                blob = world.memories[HOST].blobs["base", layer.digest]
                world.memories[HOST].blobs["app", layer.digest] = blob
            layers = [*parent.document["layers"], *own.document["layers"]]
            app.put({**own.document, "layers": layers}, own.media_type, tag)
        return world

    def test_of_what_stays(self, layered: World) -> None:
        found = layered.clean(keep="1", max_share="1")

        assert layered.tags("app") == {"new"}
        assert layered.tags("base") == {"1.2", "1.4"}
        assert rules(found[f"{HOST}/base"]) == {"1.2": "in use", "1.4": "keep 1"}

    def test_of_what_is_not_cleaned_now(self, layered: World) -> None:
        layered.clean(keep="1", max_share="1", repositories=[f"{HOST}/base"])

        assert layered.tags("app") == {"old", "new"}
        assert layered.tags("base") == {"1.1", "1.2", "1.4"}

    def test_of_what_is_refused(self, layered: World) -> None:
        layered.configure(f"registry: {HOST}\ncleanup: {{repositories: {{{HOST}/app: {{max_delete: 0}}}}}}\n")

        layered.clean(keep="1", max_share="1", fails=ImagewrightError)

        assert layered.tags("base") == {"1.1", "1.2", "1.4"}

    def test_of_what_cannot_be_read(self, layered: World) -> None:
        layered.unreachable = {"app"}

        found = layered.clean(keep="1", max_share="1", fails=ImagewrightError)

        assert f"{HOST}/app could not be read" in found[f"{HOST}/base"]["refused"]
        assert len(layered.tags("base")) == 4

    def test_of_a_dockerfile_that_cannot_be_read(self, layered: World) -> None:
        layered.dockerfile("app", "FROM\n")
        layered.clean(keep="1", max_share="1")
        assert layered.tags("base") == {"1.2", "1.4"}

    def test_of_an_image_that_is_built_on_something_else_now(self, layered: World) -> None:
        layered.dockerfile("app")
        layered.clean(keep="1", max_share="1")
        assert layered.tags("base") == {"1.4"}, "the project builds nothing on it"


def test_sizes(world: World, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
    versions(world.stock("app"))
    monkeypatch.setattr("imagewright.cli.cleanup_sizes.Doors", lambda _, **__: world.doors())
    show_sizes(world.project(), wishes(), as_json=True)
    (found,) = json.loads(capsys.readouterr().out)["repositories"]
    assert (found["tags"], found["images"], found["freed"]) == (4, 4, None)


def test_what_cannot_be_measured_is_an_error(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    world.unreachable = {"app"}
    monkeypatch.setattr("imagewright.cli.cleanup_sizes.Doors", lambda _, **__: world.doors())
    with pytest.raises(EnvironmentMissingError, match="cannot be reached"):
        show_sizes(world.project(), wishes(), as_json=True)


@pytest.mark.parametrize(
    ("args", "said"),
    [
        (("--keep", "x"), "--keep takes a whole number"),
        (("--apply", "gone.json", "--keep", "3"), "--apply makes no plan"),
        (("--apply", "gone.json"), "gone.json"),
        (("--undo", "gone.jsonl"), "gone.jsonl"),
        (("--keep", "3", "--policy", "gone.yml"), "gone.yml: cannot be read"),
    ],
)
def test_wrong_usage(invoked: Invoke, project: Path, args: tuple[str, ...], said: str) -> None:
    (project / "Dockerfiles").mkdir()
    (project / "Dockerfiles/Dockerfile.app").write_text("FROM scratch\n")
    done = invoked("cleanup", *args)
    assert done.returncode == 2, done.stderr
    assert said in done.stderr
    assert "Traceback" not in done.stderr


def test_a_registry_error_names_the_repository_once(world: World) -> None:
    from imagewright.cli.cleaned import raise_for

    with pytest.raises(RegistryError.__mro__[1], match=f"^{HOST}/app: no$"):
        raise_for([(f"{HOST}/app", RegistryError("no", where=f"{HOST}/app"))])
    with pytest.raises(ImagewrightError, match=rf"2 repositories:\n  {HOST}/a: no\n  {HOST}/b: no"):
        raise_for([(f"{HOST}/a", "no"), (f"{HOST}/b", "no")])
