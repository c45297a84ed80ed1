from __future__ import annotations

import json
import subprocess
import tempfile
from dataclasses import replace
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from imagewright.builds.digests import (
    PushedPart,
    Wanted,
    Whole,
    complete,
    part_prefix,
    part_tag,
    read,
    write,
)
from imagewright.builds.plan import NO_HEAD, Head
from imagewright.errors import EnvironmentMissingError, RegistryError, UsageError
from imagewright.platforms import normal
from imagewright.references import is_tag

COMMIT, OTHER = "a" * 40, "b" * 40
PLATFORMS = ("linux/amd64", "linux/arm64", "linux/arm/v7")


def digest(text: str) -> str:
    return f"sha256:{text.encode().hex():0>64}"


WHOLE = {
    "schema": 1,
    "image": "app",
    "repository": "ghcr.io/me/app",
    "platforms": ["linux/amd64"],
    "digest": digest("x"),
    "commit": COMMIT,
    "fingerprint": None,
}
WRONG: list[dict[str, object]] = [
    {"schema": 2},
    {"image": ""},
    {"image": 7},
    {"repository": None},
    {"digest": "latest"},
    {"digest": "sha256:../../x"},
    {"platforms": []},
    {"platforms": "linux/amd64"},
    {"platforms": ["amd64"]},
    {"platforms": ["../x"]},
    {"platforms": [["linux/amd64"]]},
    {"commit": 7},
    {"fingerprint": {}},
]


def part(platform: str = "linux/amd64", **more: str | None) -> PushedPart:
    made = PushedPart(
        image="app",
        repository="ghcr.io/me/app",
        platforms=(platform,),
        digest=digest(platform),
        commit=COMMIT,
        fingerprint=digest("f"),
    )
    return replace(made, **more)  # type: ignore[arg-type]


def wanted(*platforms: str, commit: str | None = COMMIT) -> dict[str, Wanted]:
    return {"app": Wanted(repository="ghcr.io/me/app", platforms=platforms or PLATFORMS[:2], commit=commit)}


def told(parts: list[PushedPart], *platforms: str) -> str:
    found = complete(parts, wanted(*platforms))["app"]
    assert isinstance(found, RegistryError)
    assert found.where == "app"
    assert found.hint
    return found.message


class TestFiles:
    def test_what_is_written_is_read(self, tmp_path: Path) -> None:
        folder = tmp_path / "dist/digests"
        parts = [
            part(),
            part("linux/arm/v7", commit=f"{COMMIT}-dirty"),
            replace(part(image="python:3.13-slim"), platforms=PLATFORMS[:2], commit=None, fingerprint=None),
            part(image="../../etc/team/x"),
        ]
        files = [str(write(folder, one).relative_to(folder)) for one in parts]
        assert files == [
            "app/linux-amd64.json",
            "app/linux-arm-v7.json",
            "python%3A3.13-slim/linux-amd64.linux-arm64.json",
            "..%2F..%2Fetc%2Fteam%2Fx/linux-amd64.json",
        ]
        assert set(read(folder)) == set(parts)
        assert len(list(tmp_path.rglob("*"))) == 2 + 3 + 4 + 1, "nothing is left over"

    def test_git_does_not_see_them(self, tmp_path: Path) -> None:
        subprocess.run(["git", "init", "-q"], cwd=tmp_path, check=True)
        write(tmp_path / "digests", part())
        shown = subprocess.run(
            ["git", "status", "--porcelain", "-uall"], cwd=tmp_path, check=True, capture_output=True, text=True
        )
        assert shown.stdout == ""

    def test_a_second_build_takes_the_place_of_the_first(self, tmp_path: Path) -> None:
        write(tmp_path, part())
        write(tmp_path, part(digest=digest("new")))
        assert read(tmp_path) == (part(digest=digest("new")),)

    def test_each_artifact_may_have_a_folder_of_its_own(self, tmp_path: Path) -> None:
        write(tmp_path / "of-amd64", part())
        write(tmp_path / "of-arm64", part("linux/arm64"))
        write(tmp_path / "of-arm64-again", part("linux/arm64"))
        assert read(tmp_path) == (part(), part("linux/arm64"))

    @pytest.mark.parametrize(
        "content",
        [
            "",
            "{",
            "[]",
            "null",
            "{}",
            '"schema"',
            "[" * 100_000,
            b"\xff\xfe".decode("latin-1"),
            *(json.dumps({**WHOLE, **change}) for change in WRONG),
        ],
    )
    def test_a_file_that_is_damaged_or_something_else(self, tmp_path: Path, content: str) -> None:
        file = tmp_path / "app/linux-amd64.json"
        write(tmp_path, part("linux/arm64"))
        file.write_bytes(content.encode("latin-1"))
        with pytest.raises(UsageError, match="no whole file of a digest") as problem:
            read(tmp_path)
        assert problem.value.where == str(file)

    def test_the_same_file_undamaged(self, tmp_path: Path) -> None:
        (tmp_path / "x.json").write_text(json.dumps(WHOLE))
        assert read(tmp_path) == (part(digest=digest("x"), fingerprint=None),)

    @settings(max_examples=30, deadline=None)
    @given(st.integers(0, 300))
    def test_half_a_file_is_never_read(self, length: int) -> None:
        with tempfile.TemporaryDirectory() as folder:
            file = write(Path(folder), part())
            whole = file.read_bytes().rstrip()
            file.write_bytes(whole[: min(length, len(whole) - 1)])
            with pytest.raises(UsageError):
                read(Path(folder))

    def test_a_folder_that_is_not_there(self, tmp_path: Path) -> None:
        with pytest.raises(UsageError, match="no such folder"):
            read(tmp_path / "none")
        assert read(tmp_path) == ()

    def test_a_folder_that_cannot_be_written(self, tmp_path: Path) -> None:
        (tmp_path / "file").write_text("")
        with pytest.raises(EnvironmentMissingError, match="cannot be kept"):
            write(tmp_path / "file", part())


class TestComplete:
    def test_all_of_it(self) -> None:
        found = complete([part("linux/arm64"), part(), part()], wanted())
        assert found == {
            "app": Whole(
                image="app",
                repository="ghcr.io/me/app",
                digests={one: digest(one) for one in PLATFORMS[:2]},
                fingerprint=digest("f"),
            )
        }
        assert isinstance(found["app"], Whole)
        assert list(found["app"].digests) == [*PLATFORMS[:2]], "the order that was asked for"

    def test_one_part_may_have_several_platforms(self) -> None:
        both = replace(part(), platforms=PLATFORMS[:2])
        found = complete([both, part("linux/arm/v7")], wanted(*PLATFORMS))["app"]
        assert isinstance(found, Whole)
        assert [*found.digests.values()] == [both.digest, both.digest, digest("linux/arm/v7")]

    def test_spellings_of_a_platform(self) -> None:
        found = complete([part("linux/arm64/v8"), part("linux/arm")], wanted("linux/arm64", "linux/arm/v7"))["app"]
        assert isinstance(found, Whole)
        assert [*found.digests] == ["linux/arm64", "linux/arm/v7"]

    def test_what_is_not_wanted_is_left_out_and_said(self) -> None:
        found = complete([part(), part("linux/arm64")], wanted("linux/arm64"))["app"]
        assert isinstance(found, Whole)
        assert [*found.digests] == ["linux/arm64"]
        assert found.left_out == ("linux/amd64",)

    def test_what_is_missing(self) -> None:
        assert told([part()]) == "linux/arm64 is missing: there is linux/amd64"
        assert told([]) == "linux/amd64, linux/arm64 is missing: no part of it was pushed"
        assert told([part(image="other")]) == "linux/amd64, linux/arm64 is missing: no part of it was pushed"

    def test_what_contradicts(self) -> None:
        arm64 = part("linux/arm64")
        assert "a part is in ghcr.io/me/app, r.io/app" in told([part(repository="r.io/app"), arm64])
        assert "different commits: aaaa" in told([part(), replace(arm64, commit=OTHER)])
        assert "different commits" in told([part(), replace(arm64, commit=f"{COMMIT}-dirty")])
        assert "different commits" in told([part(), replace(arm64, commit=None)])
        assert "fingerprints are" in told([part(), replace(arm64, fingerprint=digest("g"))])
        assert "fingerprints are" in told([part(), replace(arm64, fingerprint=None)])
        assert "linux/amd64 was pushed 2 times" in told([part(), part(digest=digest("x")), arm64])
        assert "linux/arm64 was pushed 2 times" in told([part(), arm64, part("linux/arm64/v8")])

    def test_parts_of_another_commit_than_is_checked_out(self) -> None:
        other = [part(commit=OTHER), part("linux/arm64", commit=OTHER)]
        assert told(other) == f"its parts are of {OTHER}, and here is {COMMIT}"
        without_git = complete([part(), part("linux/arm64")], wanted(commit=None))["app"]
        assert isinstance(without_git, RegistryError)

    @given(
        st.lists(
            st.builds(
                PushedPart,
                image=st.sampled_from(["app", "tool"]),
                repository=st.sampled_from(["ghcr.io/me/app"] * 5 + ["r.io/app"]),
                platforms=st.lists(st.sampled_from([*PLATFORMS, "linux/arm64/v8"]), min_size=1, max_size=2).map(tuple),
                digest=st.sampled_from([digest("1"), digest("2")]),
                commit=st.sampled_from([COMMIT] * 5 + [OTHER, None]),
                fingerprint=st.sampled_from([digest("f")] * 5 + [None]),
            ),
            max_size=5,
        ),
        st.lists(st.sampled_from(PLATFORMS), min_size=1, unique=True),
    )
    def test_whole_is_only_what_is_whole(self, parts: list[PushedPart], platforms: list[str]) -> None:
        asked = wanted(*platforms)
        found = complete(parts, asked)
        assert found.keys() == asked.keys()
        own = [one for one in parts if one.image == "app"]
        agree = {(one.repository, one.commit) for one in own} == {("ghcr.io/me/app", COMMIT)}
        agree = agree and len({one.fingerprint for one in own}) == 1
        seen: dict[str, set[str]] = {}
        for one in own:
            for platform in one.platforms:
                seen.setdefault(normal(platform), set()).add(one.digest)
        whole = agree and set(platforms) <= seen.keys() and all(len(digests) == 1 for digests in seen.values())
        result = found["app"]
        assert isinstance(result, Whole) == whole
        if isinstance(result, Whole):
            assert list(result.digests) == platforms
            assert all(seen[platform] == {one} for platform, one in result.digests.items())
        again = complete(parts[::-1], asked)["app"]
        assert str(again) == str(result), "the order of the files does not matter"


class TestTags:
    def test_they_are_tags_and_tell_image_state_and_platforms(self) -> None:
        parts = [
            part(),
            part("linux/arm64"),
            part("linux/arm/v7"),
            part(image="tool"),
            part(image="python:3.13"),
            part(commit=OTHER),
            part(commit=f"{COMMIT}-dirty"),
            part(commit=f"{COMMIT}-dirty", fingerprint=digest("g")),
            replace(part(), commit=None),
            replace(part(), platforms=PLATFORMS),
            replace(part(), platforms=tuple(f"linux/riscv64/v{number}" for number in range(30))),
        ]
        tags = [part_tag(one) for one in parts]
        assert all(map(is_tag, tags))
        # Without a clean commit the fingerprint alone tells the state.
        assert len(set(tags)) == len(tags) - 1
        assert tags[6] == tags[8]
        assert all(
            tag.startswith(part_prefix(one.image, one.commit, one.fingerprint))
            for tag, one in zip(tags, parts, strict=True)
        )
        assert tags[1].endswith("-linux-arm64")
        assert tags[9].endswith("-linux-amd64.linux-arm-v7.linux-arm64")

    def test_a_commit_alone_tells_the_state(self) -> None:
        """The one that joins need not know what the parts were made from, --build-arg included."""
        assert part_tag(part()) == part_tag(part(fingerprint=digest("g")))

    def test_nothing_tells_the_state(self) -> None:
        with pytest.raises(UsageError, match="nothing tells"):
            part_prefix("app", f"{COMMIT}-dirty", None)


def test_the_revision_is_that_of_the_label() -> None:
    assert Head(commit=COMMIT, time=1, dirty=False).revision == COMMIT
    assert Head(commit=COMMIT, time=1, dirty=True).revision == f"{COMMIT}-dirty"
    assert NO_HEAD.revision is None
