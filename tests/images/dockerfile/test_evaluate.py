"""What a Dockerfile uses: stages, variables, sources. Each surprise of BuildKit has a test of its own."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from imagewright.errors import DockerfileError
from imagewright.images.dockerfile.evaluate import evaluate
from imagewright.images.dockerfile.syntax import read
from imagewright.images.model import BaseConfig, ContextUse, Reading, Remote

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence


def reading(
    text: str,
    *,
    args: Mapping[str, str] | None = None,
    target: str | None = None,
    platforms: Sequence[str] = ("linux/amd64",),
    contexts: Mapping[str, str] | None = None,
    bases: Mapping[str, BaseConfig] | None = None,
    unknown_args: Sequence[str] = (),
) -> Reading:
    return evaluate(
        read(text.encode(), path="Dockerfile"),
        build_args=args or {},
        target=target,
        platforms=platforms,
        contexts=contexts,
        base=lambda reference, _platform: (bases or {}).get(reference),
        unknown_args=unknown_args,
    )


def images(found: Reading) -> list[str | None]:
    return [use.reference for use in found.images]


def sources(found: Reading) -> list[tuple[str, ...] | None]:
    return [use.sources for use in found.context]


def copied(commands: str, **more: object) -> list[tuple[str, ...] | None]:
    return sources(reading(f"FROM scratch\n{commands}", **more))  # type: ignore[arg-type]


def refused(text: str, **more: object) -> str:
    with pytest.raises(DockerfileError) as caught:
        reading(text, **more)  # type: ignore[arg-type]
    return str(caught.value)


# --- images -----------------------------------------------------------------------------------------------------------


def test_images_of_from_copy_and_mount() -> None:
    found = reading("FROM a:1\nCOPY --from=b@sha256:%s /x /y\nRUN --mount=from=c,target=/z true" % ("0" * 64))
    assert [(use.reference, use.line, use.kind) for use in found.images] == [
        ("a:1", 1, "from"),
        (f"b@sha256:{'0' * 64}", 2, "copy"),
        ("c", 3, "mount"),
    ]


def test_scratch_and_stages_are_no_images() -> None:
    found = reading(
        "FROM scratch AS one\nFROM one\nCOPY --from=one /a /b\nCOPY --from=0 /a /b\nCOPY --from=scratch / /"
    )
    assert images(found) == []
    assert found.stages == ("one", "1")


def test_from_is_composed_by_arguments() -> None:
    text = "ARG REGISTRY=docker.io\nARG TAG\nFROM ${REGISTRY}/me/base${TAG:+:$TAG}\n"
    assert images(reading(text)) == ["docker.io/me/base"]
    assert images(reading(text, args={"REGISTRY": "ghcr.io", "TAG": "v1"})) == ["ghcr.io/me/base:v1"]


@pytest.mark.parametrize(
    ("base", "expanded"),
    [
        ("${V:-x}", "v1.2.3"),
        ("${E:-x}", "x"),
        ("${E-x}x", "x"),
        ("${V:+y}", "y"),
        ("a${E:+y}", "a"),
        ("${V#v}", "1.2.3"),
        ("${V#*.}", "2.3"),
        ("${V##*.}", "3"),
        ("${V%.*}", "v1.2"),
        ("${V%%.*}", "v1"),
        ("${V/./-}", "v1-2.3"),
        ("${V//./-}", "v1-2-3"),
    ],
)
def test_modifiers_of_variables(base: str, expanded: str) -> None:
    assert images(reading(f"ARG V=v1.2.3\nARG E=\nFROM {base}")) == [expanded]


def test_only_stages_that_the_target_reaches_count() -> None:
    text = "FROM a AS one\nCOPY x /\nFROM b AS two\nCOPY y /\nFROM c AS three\nCOPY --from=two / /\n"
    assert images(reading(text)) == ["b", "c"]
    assert sources(reading(text)) == [("y",)]
    assert images(reading(text, target="one")) == ["a"]
    assert images(reading(text, target="TWO")) == ["b"]


def test_a_target_that_is_not_there() -> None:
    assert "did you mean build?" in refused("FROM a AS build", target="biuld")


def test_arguments_and_platforms_select_stages() -> None:
    text = "FROM a AS stage-amd64\nFROM b AS stage-arm64\nFROM stage-${TARGETARCH}"
    assert images(reading(text)) == ["a"]
    assert images(reading(text, platforms=("linux/amd64", "linux/arm64"))) == ["a", "b"]
    assert images(reading("ARG S=x\nFROM a AS x\nFROM b AS y\nFROM $S", args={"S": "y"})) == ["b"]


def test_a_base_for_every_builders_platform() -> None:
    text = "FROM a AS b-amd64\nFROM c AS b-arm64\nFROM b-$BUILDARCH"
    assert images(reading(text)) == ["a", "c"]


def test_an_image_that_nobody_can_tell() -> None:
    found = reading("ARG T\nFROM a AS x\nCOPY f /\nFROM img:$T\n", unknown_args=("T",))
    assert images(found) == ["a", None]
    assert found.unknowns == ((4, "the value of a variable in FROM img:$T is not known here"),)


# --- named contexts ---------------------------------------------------------------------------------------------------


def test_a_named_context_goes_before_an_image() -> None:
    found = reading(
        "FROM debian\nCOPY --from=src a /", contexts={"src": "./folder", "debian:latest": "docker-image://x"}
    )
    assert images(found) == []
    assert found.context == (ContextUse(line=2, kind="copy", sources=("a",), context="src"),)


def test_a_named_context_goes_before_a_stage() -> None:
    found = reading("FROM a AS deps\nCOPY x /\nFROM scratch\nCOPY --from=deps y /", contexts={"deps": "lib"})
    assert images(found) == []
    assert found.context == (ContextUse(line=4, kind="copy", sources=("y",), context="deps"),)


def test_a_stage_on_a_named_context_takes_it_whole() -> None:
    found = reading("FROM src\nCOPY a /", contexts={"src": "lib"})
    assert found.context == (
        ContextUse(line=1, kind="from", sources=None, context="src", why_whole="a stage stands on it"),
        ContextUse(line=2, kind="copy", sources=("a",)),
    )


def test_a_named_context_for_one_platform() -> None:
    contexts = {"b::linux/arm64": "docker-image://c"}
    assert images(reading("FROM b", contexts=contexts, platforms=("linux/arm64",))) == []
    assert images(reading("FROM b", contexts=contexts, platforms=("linux/arm64", "linux/amd64"))) == ["b"]


def test_remote_named_contexts() -> None:
    contexts = {"src": "https://example.org/r.git#main", "img": f"oci-layout://out@sha256:{'0' * 64}"}
    found = reading("FROM img\nCOPY --from=src a /", contexts=contexts)
    assert found.remotes == (
        Remote(address=contexts["img"], line=1, pinned=True),
        Remote(address=contexts["src"], line=2, pinned=False),
    )


# --- the surprises ----------------------------------------------------------------------------------------------------


def test_surprise_2_other_mounts_use_no_context() -> None:
    mounts = "".join(f"RUN --mount=type={kind},target=/x,id=i true\n" for kind in ("tmpfs", "cache", "secret", "ssh"))
    assert copied(mounts) == []


def test_surprise_7_a_source_that_expands_to_nothing() -> None:
    assert copied("ARG MORE\nCOPY a ${MORE:+b} /x/") == [("a", "")]


def test_surprise_11_quotes() -> None:
    assert copied("ENV A=1\nCOPY \"$A\" '$A' \\$A # /x") == [("1", "$A", "$A", "#")]


def test_surprise_12_local_and_remote_additions() -> None:
    commit = "0" * 40
    found = reading(
        "FROM scratch\nARG U=https://example.org/f\nADD github.com/o/r.git /a\nADD $U /b\n"
        f"ADD --checksum=sha256:{'0' * 64} $U /c\nADD https://example.org/r.git#main /d\n"
        f"ADD https://example.org/r.git#{commit} /e\nADD git@example.org:o/r.git /f\nADD ftp://x /g\n"
    )
    assert sources(found) == [("github.com/o/r.git",), ("ftp://x",)]
    assert [(remote.line, remote.pinned) for remote in found.remotes] == [
        (4, False),
        (5, True),
        (6, False),
        (7, True),
        (8, False),
    ]


def test_surprise_12_copy_takes_no_address() -> None:
    assert "can't be a git ref or a URL for COPY" in refused("FROM scratch\nCOPY https://example.org/f /")


def test_surprise_13_stage_names_are_lower_case() -> None:
    assert images(reading("FROM a AS One\nFROM scratch\nCOPY --from=ONE / /")) == ["a"]
    assert "did you mean one?" in refused("FROM a AS One\nFROM One")


def test_surprise_14_a_later_stage_is_an_error() -> None:
    text = "FROM a AS one\nCOPY --from=two / /\nFROM b AS two\nFROM one"
    assert "needs to be defined before" in refused(text)
    assert "Dockerfile:2" in refused(text)
    mounted = "FROM a AS one\nRUN --mount=from=two,target=/b true\nFROM b AS two\nFROM one"
    assert "needs to be defined before" in refused(mounted)
    assert images(reading(text, target="two")) == ["b"]  # an unreached stage counts for nothing
    assert images(reading("FROM two AS one\nFROM b AS two\nFROM one")) == ["two"]  # FROM takes it for an image


def test_surprise_14_indices_and_circles() -> None:
    assert "invalid stage index 7" in refused("FROM a\nCOPY --from=7 / /")
    assert "circular dependency" in refused("FROM a AS x\nCOPY --from=x / /")
    assert "circular dependency" in refused("FROM a\nCOPY --from=0 / /")


def test_surprise_15_the_later_of_env_and_arg_wins() -> None:
    assert copied("ENV A=env\nARG A=arg\nCOPY $A /") == [("arg",)]
    assert copied("ARG A=arg\nENV A=env\nCOPY $A /") == [("env",)]
    assert copied("ENV A=env\nARG A\nCOPY $A /") == [("env",)]
    assert copied("ENV A=env\nARG A\nCOPY $A /", args={"A": "build"}) == [("build",)]
    assert copied("ENV A=1\nENV A=2 B=$A\nCOPY $A$B /") == [("21",)]
    assert copied("ARG A=1 B=$A\nCOPY $A$B /") == [("11",)]
    assert copied("COPY x$A /\nARG A=1\nCOPY x$A /", args={"A": "2"}) == [("x",), ("x2",)]


def test_surprise_16_global_arguments_and_stages() -> None:
    assert sources(reading("ARG A=1\nFROM scratch\nCOPY x$A /\nARG A\nCOPY x$A /")) == [("x",), ("x1",)]
    text = "FROM scratch AS one\nARG A=1\nENV B=2\nFROM one\nCOPY x$A$B /"
    assert sources(reading(text)) == [("x12",)]


def test_surprise_16_in_the_next_stage_env_hides_an_argument_that_hid_it() -> None:
    text = "FROM base AS one\nARG D=arg\nCOPY $D /\nFROM one\nCOPY $D /"
    assert sources(reading(text, bases={"base": BaseConfig(env={"D": "env"})})) == [("arg",), ("env",)]
    assert sources(reading(text, bases={"base": BaseConfig()})) == [("arg",), ("arg",)]
    assert sources(reading(text, bases={"base": BaseConfig(unknown=("D",))})) == [("arg",), None]
    assert sources(reading(text)) == [("arg",), None]  # the base may set it
    assert sources(reading("FROM o AS one\nENV D=env\nARG D=arg\nFROM one\nCOPY $D /")) == [("env",)]


def test_surprise_17_env_and_onbuild_of_a_base() -> None:
    base = BaseConfig(env={"D": "src"}, onbuild=("COPY $D /app", "RUN --mount=from=tools,target=/t x"))
    found = reading("FROM base\nCOPY $D/x /", bases={"base": base})
    assert [(use.sources, use.line) for use in found.context] == [(("src",), 1), (("src/x",), 2)]
    assert images(found) == ["base", "tools"]
    assert found.unread_bases == ()


def test_surprise_17_triggers_of_a_stage_run_in_the_next_alone() -> None:
    text = "FROM scratch AS one\nONBUILD COPY a /\nFROM one AS two\nFROM two"
    assert [(use.sources, use.line) for use in reading(text).context] == [(("a",), 3)]


def test_surprise_17_a_trigger_may_name_a_stage_of_the_child() -> None:
    base = BaseConfig(onbuild=("COPY --from=build /out /",))
    text = "FROM g AS build\nCOPY src /\nFROM base"
    assert images(reading(text, bases={"base": base})) == ["g", "base"]


def test_surprise_17_a_trigger_may_name_the_stage_that_it_runs_in() -> None:
    found = reading("FROM base AS one\nCOPY a /", bases={"base": BaseConfig(onbuild=("COPY --from=one / /",))})
    assert sources(found) == [("a",)]


def test_surprise_14_an_unreached_stage_may_hold_a_mount_that_cannot_be() -> None:
    assert images(reading("FROM a AS x\nRUN --mount=nonsense true\nFROM b")) == ["b"]


def test_surprise_17_an_unknown_env_is_the_whole_context() -> None:
    found = reading("FROM outside\nENV KNOWN=k\nCOPY $KNOWN /\nCOPY $D/x /\n")
    assert sources(found) == [("k",), None]
    assert found.unknowns == ((4, "the value of $D in '$D/x' is not known here"),)
    assert found.unread_bases == ("outside",)
    assert sources(reading("FROM outside\nCOPY $D/x /\n", bases={"outside": BaseConfig()})) == [("/x",)]


def test_surprise_17_what_is_made_of_an_unknown_is_unknown() -> None:
    assert sources(reading("FROM o\nENV A=$D/y\nARG B=$A\nCOPY $B /")) == [None]
    assert sources(reading("FROM o\nENV A=$D/y\nENV A=z\nCOPY $A /")) == [("z",)]


def test_surprise_17_what_an_image_gives_to_its_children() -> None:
    given = reading("FROM o\nARG A=1\nENV B=$A C=$D\nONBUILD COPY x /\n").given("linux/amd64")
    assert given == BaseConfig(env={"B": "1"}, unknown=("C",), complete=False, onbuild=("COPY x /",))
    text = "FROM scratch\nARG TARGETARCH\nENV A=$TARGETARCH"
    found = reading(text, platforms=("linux/amd64", "linux/arm64"))
    assert [found.given(f"linux/{arch}").env["A"] for arch in ("amd64", "arm64")] == ["amd64", "arm64"]
    assert set(reading("FROM scratch").given("linux/amd64").env) == {"PATH"}


def test_surprise_17_a_base_that_differs_by_platform() -> None:
    configs = {"linux/amd64": BaseConfig(env={"D": "x"}), "linux/arm64": BaseConfig(env={"D": "y"})}
    dockerfile = read(b"FROM b\nCOPY $D /", path="D")
    found = evaluate(
        dockerfile, build_args={}, target=None, platforms=tuple(configs), base=lambda _, platform: configs[platform]
    )
    assert sources(found) == [("x",), ("y",)]


def test_surprise_18_platform_arguments_need_a_declaration_in_a_stage() -> None:
    both = ("linux/amd64", "linux/arm64")
    assert copied("COPY x$TARGETARCH /", platforms=both) == [("x",)]
    assert copied("ARG TARGETARCH\nCOPY x$TARGETARCH /", platforms=both) == [("xamd64",), ("xarm64",)]
    assert copied("ARG TARGETPLATFORM\nCOPY $TARGETPLATFORM /", platforms=("linux/arm/v7",)) == [("linux/arm/v7",)]
    assert copied("ARG TARGETARCH\nCOPY $TARGETARCH /", args={"TARGETARCH": "mine"}) == [("mine",)]


def test_surprise_19_bind_mounts() -> None:
    found = reading(
        "FROM scratch\nENV D=src\nRUN --mount=target=/a x\nRUN --mount=type=bind,source=$D,target=/b,rw x\n"
        "RUN --mount=type=cache,from=st,target=/c x\n"
    )
    assert [(use.sources, use.kind, use.why_whole) for use in found.context] == [
        (None, "bind", "the mount names no source"),
        (("src",), "bind", None),
    ]
    assert found.unknowns == ()
    assert images(found) == ["st"]


def test_surprise_19_a_cache_mount_can_name_a_stage() -> None:
    text = "FROM a AS st\nCOPY x /\nFROM scratch\nRUN --mount=type=cache,from=st,target=/c x"
    assert sources(reading(text)) == [("x",)]


@pytest.mark.parametrize("text", ["FROM ONE", "FROM $V", "FROM --platform=x a", "FROM a\nCOPY --from=9 b /", "pack: x"])
def test_a_foreign_front_end_is_never_refused(text: str) -> None:
    found = reading(f"# syntax=me/front\n{text}", target="nope")
    assert found.unknowns == ((1, "the front end me/front may read any file"),)
    assert found.given("linux/amd64") == BaseConfig(complete=False)


def test_the_triggers_that_a_foreign_front_end_may_leave_are_handed_down() -> None:
    found = reading("# syntax=me/front\nFROM scratch\nENV A=b\nONBUILD COPY x /")
    assert found.given("linux/amd64") == BaseConfig(complete=False, onbuild=("COPY x /",))


def test_a_stage_for_the_builders_platform_is_read_for_each_that_it_may_have() -> None:
    text = "FROM --platform=$BUILDPLATFORM one\nCOPY $V /x"
    contexts = {"one::linux/arm64": "lib"}
    found = reading(text, platforms=("linux/arm64",), contexts=contexts)
    assert images(found) == ["one"]
    assert [use.context for use in found.context if use.kind == "from"] == ["one::linux/arm64"]
    values = {"linux/amd64": "a", "linux/arm64": "b", "linux/s390x": "c"}
    found = evaluate(
        read(text.encode(), path="Dockerfile"),
        build_args={},
        target=None,
        platforms=("linux/s390x",),
        base=lambda _, platform: BaseConfig(env={"V": values[platform]}),
    )
    assert sources(found) == [("c",), ("a",), ("b",)]


def test_what_one_builders_platform_alone_would_refuse_is_not_refused() -> None:
    def evaluated(*platforms: str) -> Reading:
        return evaluate(
            read(b"FROM --platform=$BUILDPLATFORM one\nCOPY a /x", path="Dockerfile"),
            build_args={},
            target=None,
            platforms=("linux/amd64",),
            base=lambda _, platform: BaseConfig(onbuild=("RUN --mount=type=x true",) if platform in platforms else ()),
        )

    assert sources(evaluated("linux/arm64")) == [("a",)]
    with pytest.raises(DockerfileError, match="unsupported mount type"):
        evaluated("linux/amd64", "linux/arm64")


def test_what_a_trigger_alone_reaches_copies_from_images_and_not_from_contexts() -> None:
    text = (
        "FROM scratch AS one\nCOPY --from=img a /\n"
        "FROM scratch AS two\nONBUILD RUN --mount=from=one,target=/t true\n"
        "FROM two\nCOPY --from=img b /\n"
    )
    found = reading(text, contexts={"img": "lib"})
    assert images(found) == ["img"]
    assert [(use.context, use.sources) for use in found.context] == [("img", ("b",))]


def test_a_foreign_front_end_may_read_anything() -> None:
    found = reading("# syntax=me/front\nFROM a\nCOPY x /")
    assert found.unknowns == ((1, "the front end me/front may read any file"),)
    assert images(found) == ["a"]


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("ARG A\nFROM $A", "Dockerfile:2: base name ($A) should not be blank"),
        ("FROM a:b:c", "Dockerfile:1: no stage, and no image"),
        ("FROM --platform=$X a", "empty platform value from expression $X"),
        ("FROM --platform=a/b/c/d a", "is no platform"),
        ("FROM scratch\nCOPY ${x /y", "Dockerfile:2: failed to process"),
        ('FROM scratch\nENV A="${B:?must be set}"\n', "B: must be set"),
        (
            "FROM x\nRUN --mount=form=a,target=/b x",
            "unexpected key 'form' in --mount=form=a,target=/b\n  did you mean from?",
        ),
        ("FROM x\nRUN --mount=target x", "'target' in --mount=target must be a key=value pair"),
        ("FROM scratch\nRUN --mount=type=bnd,target=/x x", "unsupported mount type 'bnd'"),
    ],
)
def test_what_buildkit_refuses_when_it_builds(text: str, message: str) -> None:
    assert message in refused(text)


def test_duplicate_stage_names_are_legal_and_the_later_counts() -> None:
    assert images(reading("FROM a AS x\nFROM b AS x\nFROM x")) == ["b"]


def test_excludes_and_parents() -> None:
    found = reading("FROM scratch\nCOPY --parents --exclude=$A a/./b /")
    assert found.context == (ContextUse(line=2, kind="copy", sources=("a/./b",), excludes=("$A",), parents=True),)
