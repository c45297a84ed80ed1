"""The plan and the bake file made from it: values in, values out."""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Collection, Mapping, Sequence

from hypothesis import given
from hypothesis import strategies as st

from imagewright.builds.bake import BakeOptions, bake_image, bake_plan, target_name
from imagewright.builds.plan import NO_HEAD, Head, Plan, Standing, plan_named, to_json
from imagewright.changes.reason import Reason
from imagewright.errors import DockerfileError, ImagewrightError, RegistryError
from imagewright.images.model import BuildSecret, Image
from imagewright.tags.model import Naming, Tag, Withheld

COMMIT = "0123456789abcdef0123456789abcdef01234567"
HEAD = Head(commit=COMMIT, time=1_700_000_000, dirty=False)
DIGEST = "sha256:" + "1" * 64
NAMING = Naming(
    tags=(Tag(tag="dev", kind="moving", rule="work", why="the work tree"),),
    withheld=(Withheld(tag="latest", rule="latest", why="the work tree differs"),),
)
NPM = BuildSecret("npm", "env", "NPM_TOKEN", optional=True)
CHAIN = {
    "base": {},
    "tooling": {"base": ("localhost:5050/base",)},
    "app": {"tooling": ("localhost:5050/tooling:stable",)},
    "other": {},
}


class ChainGraph:
    """The graph of CHAIN."""

    def order(self) -> Sequence[str]:
        return ["base", "other", "tooling", "app"]

    def level(self, name: str) -> int:
        return {"base": 0, "other": 0, "tooling": 1, "app": 2}[name]

    def ancestors(self, name: str) -> Collection[str]:
        return {"base": (), "other": (), "tooling": ("base",), "app": ("base", "tooling")}[name]

    def references(self, child: str) -> Mapping[str, tuple[str, ...]]:
        return CHAIN[child]


def image(name: str, **more: object) -> Image:
    plain = Image(
        name=name,
        repository=f"localhost:5050/{name}",
        dockerfile=f"Dockerfiles/Dockerfile.{name}",
        context=".",
        layer=None,
        platforms=("linux/amd64",),
    )
    return dataclasses.replace(plain, **more)  # type: ignore[arg-type]


def plan(
    *names: str,
    head: Head = HEAD,
    platforms: tuple[str, ...] = (),
    broken: Mapping[str, ImagewrightError] | None = None,
    standing: Mapping[str, Standing] | None = None,
    **changed: Image,
) -> Plan:
    images = {name: changed.get(name, image(name)) for name in CHAIN}
    return plan_named(
        names,
        standing=standing,
        images=images,
        graph=ChainGraph(),
        head=head,
        namings=dict.fromkeys(CHAIN, NAMING),
        platforms=platforms,
        broken=broken,
    )


def test_what_a_named_image_is_built_on_comes_first_and_says_why() -> None:
    made = plan("app")
    assert [item.name for item in made.images] == ["base", "tooling", "app"]
    assert [item.reasons[0].kind for item in made.images] == ["needed", "needed", "forced"]
    assert made.images[0].reasons[0].detail == "app is built on it"


def test_an_image_that_nothing_named_needs_is_no_part_of_the_plan() -> None:
    assert [item.name for item in plan("base").images] == ["base"]


def test_a_broken_dockerfile_takes_along_only_what_is_built_on_it() -> None:
    error = DockerfileError("unknown instruction: FRM", where="Dockerfiles/Dockerfile.tooling:1")
    made = plan("base", "tooling", "app", "other", broken={"tooling": error})
    assert [item.name for item in made.images] == ["base", "other"]
    assert [(one.image.name, one.error, one.because) for one in made.unplanned] == [
        ("tooling", error, None),
        ("app", None, "tooling"),
    ]


STANDS = Standing(digest=DIGEST, reason=Reason(kind="unchanged", detail="app:1.2 is published"))


def test_what_stands_already_gets_its_tags_and_needs_nothing_below() -> None:
    made = plan("app", standing={"app": STANDS})
    assert [(item.name, item.action, item.digest, item.tags) for item in made.images] == [
        ("app", "reuse", DIGEST, ("localhost:5050/app:dev",))
    ]
    assert made.images[0].reasons == (STANDS.reason,)
    assert (made.to_build, made.to_retag) == ((), made.images)


def test_a_parent_that_stands_is_built_upon_and_keeps_the_tags_that_it_has() -> None:
    made = plan("app", standing={"tooling": STANDS})
    assert [(item.name, item.action, item.tags) for item in made.images] == [
        ("tooling", "reuse", ()),
        ("app", "build", ("localhost:5050/app:dev",)),
    ]
    (parent,) = made.images[1].parents
    assert (parent.origin, parent.digest) == ("registry", DIGEST)
    assert made.to_retag == ()
    assert made.images[0].reference == f"localhost:5050/tooling@{DIGEST}"


def test_a_version_that_is_taken_stops_what_is_built_on_it_and_nothing_else() -> None:
    error = RegistryError("app:1.2 is published already")
    made = plan("app", "other", broken={"tooling": error})
    assert [item.name for item in made.images] == ["other"]
    assert [(one.image.name, one.error, one.because) for one in made.unplanned] == [
        ("tooling", error, None),
        ("app", None, "tooling"),
    ]


def test_every_registry_of_the_list_has_every_tag() -> None:
    made = plan("base", base=image("base", copies=("ghcr.io/me/base", "nas:5000/base")))
    assert made.images[0].tags == ("localhost:5050/base:dev", "ghcr.io/me/base:dev", "nas:5000/base:dev")
    assert bake_plan(made, BakeOptions())["target"]["base"]["tags"] == list(made.images[0].tags)


def test_the_json_is_the_contract() -> None:
    document = to_json(plan("tooling"))
    assert list(document) == ["schema", "base", "head", "images", "unplanned", "removed"]
    assert document["head"] == {"commit": COMMIT, "dirty": False}
    assert document["images"][1] == {
        "name": "tooling",
        "repository": "localhost:5050/tooling",
        "layer": None,
        "level": 1,
        "action": "build",
        "reasons": [{"kind": "forced", "path": None, "detail": "named on the command line"}],
        "parents": [{"name": "base", "from": "build", "digest": None}],
        "platforms": ["linux/amd64"],
        "tags": ["localhost:5050/tooling:dev"],
        "withheld": [{"tag": "latest", "why": "the work tree differs"}],
        "inputs": None,
    }
    assert json.dumps(document) == json.dumps(to_json(plan("tooling")))


def test_one_file_for_a_plan_links_children_to_the_targets_of_their_parents() -> None:
    document = bake_plan(plan("app"), BakeOptions())
    assert document["group"]["default"]["targets"] == ["base", "tooling", "app"]
    assert document["target"]["app"]["contexts"] == {"localhost:5050/tooling:stable": "target:tooling"}
    assert document["target"]["tooling"]["contexts"] == {"localhost:5050/base": "target:base"}
    assert document["target"]["base"]["dockerfile"] == "Dockerfiles/Dockerfile.base"
    assert document["target"]["base"]["output"] == ["type=registry,source-date-epoch=1700000000"]


def test_an_untagged_push_names_the_repository_and_no_tag() -> None:
    document = bake_image(plan("app"), "app", BakeOptions(untagged=True), {"tooling": DIGEST})
    (output,) = document["target"]["app"]["output"]
    assert output == (
        "type=image,name=localhost:5050/app,push=true,push-by-digest=true,name-canonical=true"
        ",source-date-epoch=1700000000"
    )
    assert "tags" not in document["target"]["app"]
    loaded = bake_image(plan("app"), "app", BakeOptions(untagged=True, output="load"), {"tooling": DIGEST})
    assert loaded["target"]["app"]["tags"] == ["localhost:5050/app:dev"]


def test_a_parent_that_was_just_pushed_stands_as_its_digest() -> None:
    document = bake_image(plan("app"), "app", BakeOptions(), {"tooling": DIGEST})
    assert list(document["target"]) == ["app"]
    assert document["target"]["app"]["contexts"] == {
        "localhost:5050/tooling:stable": f"docker-image://localhost:5050/tooling@{DIGEST}"
    }


def test_who_pins_a_parent_gets_that_parent() -> None:
    made = plan("tooling")
    base = dataclasses.replace(made.images[1].parents[0], references=(f"localhost:5050/base@{DIGEST}",))
    tooling = dataclasses.replace(made.images[1], parents=(base,))
    pinned = dataclasses.replace(made, images=(made.images[0], tooling))
    assert "contexts" not in bake_plan(pinned, BakeOptions())["target"]["tooling"]


def test_parents_without_a_digest_are_linked_and_have_no_output_of_their_own() -> None:
    document = bake_image(plan("app"), "app", BakeOptions(output="none"), {})
    assert set(document["target"]) == {"app", "tooling", "base"}
    for parent in ("tooling", "base"):
        assert document["target"][parent]["output"] == ["type=cacheonly"]
        assert "tags" not in document["target"][parent]
    assert document["group"]["default"]["targets"] == ["app"]


def test_a_dockerfile_is_named_from_its_context() -> None:
    nested = image("base", context="docker/base", dockerfile="docker/base/Dockerfile")
    target = bake_plan(plan("base", base=nested), BakeOptions())["target"]["base"]
    assert (target["context"], target["dockerfile"]) == ("docker/base", "Dockerfile")
    outside = image("base", context="docker/base", dockerfile="Dockerfiles/Dockerfile.base")
    target = bake_plan(plan("base", base=outside), BakeOptions())["target"]["base"]
    assert target["dockerfile"] == "../../Dockerfiles/Dockerfile.base"


def test_labels_come_from_the_commit_and_never_from_the_clock() -> None:
    target = bake_plan(plan("base"), BakeOptions(source="https://example.org/me/images"))["target"]["base"]
    assert target["labels"] == {
        "org.opencontainers.image.created": "2023-11-14T22:13:20Z",
        "org.opencontainers.image.revision": COMMIT,
        "org.opencontainers.image.source": "https://example.org/me/images",
        "org.opencontainers.image.title": "base",
        "org.opencontainers.image.version": "dev",
    }


def test_the_commits_time_is_a_build_argument_only_where_the_dockerfile_asks_for_it() -> None:
    target = bake_plan(plan("base"), BakeOptions())["target"]["base"]
    assert "args" not in target
    target = bake_plan(plan("base"), BakeOptions(declare_epoch={"base"}))["target"]["base"]
    assert target["args"] == {"SOURCE_DATE_EPOCH": "1700000000"}


def test_outside_git_there_is_no_revision_and_a_dirty_tree_says_so() -> None:
    labels = bake_plan(plan("base", head=NO_HEAD), BakeOptions())["target"]["base"]["labels"]
    assert not {key for key in labels if key.endswith(("revision", "created"))}
    dirty = dataclasses.replace(HEAD, dirty=True)
    labels = bake_plan(plan("base", head=dirty), BakeOptions())["target"]["base"]["labels"]
    assert labels["org.opencontainers.image.revision"] == f"{COMMIT}-dirty"


def test_the_configurations_labels_win() -> None:
    titled = image("base", labels={"org.opencontainers.image.title": "Base", "team": "platform"})
    labels = bake_plan(plan("base", base=titled), BakeOptions())["target"]["base"]["labels"]
    assert labels["org.opencontainers.image.title"] == "Base"
    assert labels["team"] == "platform"


def test_the_value_of_a_secret_build_argument_is_not_in_the_file() -> None:
    secret = image("base", secret_build_args=("TOKEN",), build_args={"A": "1"}, secrets=(NPM,))
    document = bake_plan(plan("base", base=secret), BakeOptions())
    target = document["target"]["base"]
    assert document["variable"] == {"TOKEN": {}}  # bake gives it the environment's value
    assert target["args"] == {"A": "1", "TOKEN": "${TOKEN}"}
    assert target["secret"] == ["id=npm,env=NPM_TOKEN"]
    assert "secret" not in bake_plan(plan("base", base=secret), BakeOptions(absent={NPM}))["target"]["base"]


def test_archives_stand_below_dist() -> None:
    target = bake_image(plan("base"), "base", BakeOptions(output="tar"), {})["target"]["base"]
    assert target["output"] == ["type=oci,dest=dist/base/dev/image.tar,source-date-epoch=1700000000"]
    target = bake_image(plan("base"), "base", BakeOptions(output="oci"), {})["target"]["base"]
    assert target["output"] == ["type=oci,tar=false,dest=dist/base/dev/image,source-date-epoch=1700000000"]


def test_platforms_of_the_command_line_win() -> None:
    made = plan("app", platforms=("linux/arm64",))
    assert {item.platforms for item in made.images} == {("linux/arm64",)}


@given(st.text(min_size=1), st.text(min_size=1))
def test_two_names_never_give_one_bake_target(one: str, other: str) -> None:
    assert (target_name(one) == target_name(other)) == (one == other)


def test_a_named_context_that_is_pinned_stays_what_it_is() -> None:
    def linked(context: str) -> object:
        child = image("app", contexts={"localhost:5050/tooling:stable": context})
        file = bake_image(plan("app", app=child), "app", BakeOptions(), {"tooling": DIGEST})
        return file["target"]["app"]["contexts"]["localhost:5050/tooling:stable"]

    pinned = f"docker-image://localhost:5050/tooling@{DIGEST[:-1]}2"
    assert linked(pinned) == pinned
    assert linked("docker-image://localhost:5050/tooling:stable") == f"docker-image://localhost:5050/tooling@{DIGEST}"
