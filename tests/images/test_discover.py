from __future__ import annotations

import os
import tempfile
from collections.abc import Callable
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from imagewright.config.models import Settings
from imagewright.errors import ConfigError
from imagewright.images.discover import DEFAULT_PATTERN, DEFAULT_PATTERNS, discover, discover_in, may_find
from imagewright.images.model import Found
from imagewright.images.tree import tree_of_folder
from tests.counting import calls_each

DEFAULT = (DEFAULT_PATTERN,)


def write(root: Path, *paths: str) -> Path:
    for path in paths:
        (root / path).parent.mkdir(parents=True, exist_ok=True)
        (root / path).touch()
    return root


def found(root: Path, *patterns: str) -> dict[str, tuple[str, str]]:
    return {one.name: (one.dockerfile, one.context) for one in discover(root, patterns)}


def refusal(root: Path, *patterns: str) -> str:
    with pytest.raises(ConfigError) as caught:
        discover(root, patterns)
    return str(caught.value)


def test_the_convention(tmp_path: Path) -> None:
    write(tmp_path, "Dockerfiles/Dockerfile.b", "Dockerfiles/Dockerfile.a", "Dockerfiles/README.md", "Dockerfile.c")
    assert [(one.name, one.dockerfile, one.context, one.pattern) for one in discover(tmp_path, DEFAULT)] == [
        ("a", "Dockerfiles/Dockerfile.a", ".", DEFAULT_PATTERN),
        ("b", "Dockerfiles/Dockerfile.b", ".", DEFAULT_PATTERN),
    ]


def test_one_of_the_default_patterns_is_enough(tmp_path: Path) -> None:
    assert "no Dockerfiles folder" in refusal(tmp_path, *DEFAULT_PATTERNS)
    write(tmp_path, "images/python/image.yml")
    assert found(tmp_path, *DEFAULT_PATTERNS) == {"python": ("images/python/image.yml", "images/python")}
    write(tmp_path, "Dockerfiles/Dockerfile.app")
    assert set(found(tmp_path, *DEFAULT_PATTERNS)) == {"app", "python"}
    assert "finds no Dockerfile" in refusal(tmp_path, DEFAULT_PATTERN, "families/<name>/image.yml")


def test_the_default_patterns_are_the_configurations() -> None:
    assert Settings().discover == DEFAULT_PATTERNS


def test_a_family_may_have_another_name_than_its_folder(tmp_path: Path) -> None:
    write(tmp_path, "images/Python 3/image.yml")
    assert set(found(tmp_path, *DEFAULT_PATTERNS)) == {"Python 3"}


@pytest.mark.parametrize(
    ("pattern", "path", "context"),
    [
        ("docker/images/<name>/Dockerfile", "docker/images/app/Dockerfile", "docker/images/app"),
        ("<name>/Dockerfile", "app/Dockerfile", "app"),
        ("k8s-<name>/docker/Dockerfile", "k8s-app/docker/Dockerfile", "k8s-app/docker"),
        ("images/<name>/image.yml", "images/app/image.yml", "images/app"),
        ("Dockerfile.<name>", "Dockerfile.app", "."),
        ("docker/<name>.Dockerfile", "docker/app.Dockerfile", "."),
        ("docker/<name>/<name>.Dockerfile".replace("<name>.", "*."), "docker/app/x.Dockerfile", "docker/app"),
        ("teams/*/Dockerfile.<name>", "teams/one/Dockerfile.app", "."),
        ("teams/t*/<name>/Dockerfile*", "teams/two/app/Dockerfile.prod", "teams/two/app"),
        ("**/Dockerfile.<name>", "Dockerfile.app", "."),
        ("**/Dockerfile.<name>", "a/b/c/Dockerfile.app", "."),
        ("apps/**/<name>/Dockerfile", "apps/x/y/app/Dockerfile", "apps/x/y/app"),
        ("apps/**/**/<name>/Dockerfile", "apps/app/Dockerfile", "apps/app"),
        (".ci/<name>/Dockerfile", ".ci/app/Dockerfile", ".ci/app"),
        ("a[1]+/Dockerfile.<name>", "a[1]+/Dockerfile.app", "."),
    ],
)
def test_layouts(tmp_path: Path, pattern: str, path: str, context: str) -> None:
    write(tmp_path, path)
    assert found(tmp_path, pattern) == {"app": (path, context)}


def test_globs_match_no_hidden_folder(tmp_path: Path) -> None:
    write(
        tmp_path,
        "a/Dockerfile.app",
        ".git/Dockerfile.x",
        ".venv/Dockerfile.z",
        ".venv/a/Dockerfile.y",
        ".git/hooks/Dockerfile",
    )
    assert list(found(tmp_path, "**/Dockerfile.<name>")) == ["app"]
    assert list(found(tmp_path, "*/Dockerfile.<name>")) == ["app"]
    assert refusal(tmp_path, "*/<name>/Dockerfile", ".*/<name>/Dockerfile").count("finds no Dockerfile") == 2


@pytest.mark.parametrize("suffix", [".dockerignore", "~", ".swp", ".orig", ".bak", ".rej"])
def test_what_stands_beside_a_dockerfile_is_no_image(tmp_path: Path, suffix: str) -> None:
    write(tmp_path, "Dockerfiles/Dockerfile.app", f"Dockerfiles/Dockerfile.app{suffix}")
    assert list(found(tmp_path, *DEFAULT)) == ["app"]


def test_a_folder_is_no_dockerfile(tmp_path: Path) -> None:
    write(tmp_path, "Dockerfiles/Dockerfile.app", "Dockerfiles/Dockerfile.x/y", "images/a/Dockerfile/z")
    assert list(found(tmp_path, *DEFAULT)) == ["app"]
    assert "finds no Dockerfile" in refusal(tmp_path, "images/<name>/Dockerfile")


def test_a_file_belongs_to_the_first_pattern_that_finds_it(tmp_path: Path) -> None:
    write(tmp_path, "images/app/Dockerfile.slim")
    first, second = "images/<name>/Dockerfile.slim", "images/app/Dockerfile.<name>"
    assert found(tmp_path, first, second) == {"app": ("images/app/Dockerfile.slim", "images/app")}
    assert found(tmp_path, second, first) == {"slim": ("images/app/Dockerfile.slim", ".")}


def test_two_dockerfiles_for_one_name(tmp_path: Path) -> None:
    write(tmp_path, "Dockerfiles/Dockerfile.app", "images/app/Dockerfile")
    message = refusal(tmp_path, DEFAULT_PATTERN, "images/<name>/Dockerfile")
    for part in ("`app`", "Dockerfiles/Dockerfile.app", "images/app/Dockerfile", DEFAULT_PATTERN, "images/<name>/Doc"):
        assert part in message


def test_two_dockerfiles_for_one_name_by_one_pattern(tmp_path: Path) -> None:
    write(tmp_path, "a/Dockerfile.app", "b/Dockerfile.app")
    assert "a/Dockerfile.app and b/Dockerfile.app, by the pattern" in refusal(tmp_path, "*/Dockerfile.<name>")


@pytest.mark.parametrize(
    ("name", "hint"),
    [("Snap", "name it `snap`"), ("a..b", "name it `a-b`"), ("my app", "name it `my-app`"), ("ü", "rename it")],
)
def test_a_name_that_is_no_repository_name(tmp_path: Path, name: str, hint: str) -> None:
    write(tmp_path, "Dockerfiles/Dockerfile.ok", f"Dockerfiles/Dockerfile.{name}")
    message = refusal(tmp_path, *DEFAULT)
    assert message.startswith(f"Dockerfiles/Dockerfile.{name}: `{name}` is no legal repository name")
    assert hint in message


def test_all_is_reserved(tmp_path: Path) -> None:
    write(tmp_path, "Dockerfiles/Dockerfile.all")
    assert "`all` cannot be an image's name" in refusal(tmp_path, *DEFAULT)


def test_all_problems_are_listed(tmp_path: Path) -> None:
    write(tmp_path, "Dockerfiles/Dockerfile.A", "Dockerfiles/Dockerfile.B")
    message = refusal(tmp_path, DEFAULT_PATTERN, "images/<name>/Dockerfile")
    assert message.count("no legal repository name") == 2
    assert "the pattern `images/<name>/Dockerfile` finds no Dockerfile" in message


def test_no_dockerfiles_folder(tmp_path: Path) -> None:
    message = refusal(tmp_path, *DEFAULT)
    assert "no Dockerfiles folder" in message
    assert "`invoke new NAME`" in message
    (tmp_path / "Dockerfiles").mkdir()
    assert "no Dockerfile.<name> in Dockerfiles" in refusal(tmp_path, *DEFAULT)


@pytest.mark.parametrize("pattern", ["", "a", "<name>/<name>", "/a/<name>", "../<name>", "a//<name>", "a**/<name>"])
def test_a_pattern_that_can_find_nothing(tmp_path: Path, pattern: str) -> None:
    assert f"`{pattern}`" in refusal(tmp_path, pattern)


def test_links(tmp_path: Path) -> None:
    write(tmp_path, "elsewhere/real", "elsewhere/folder/Dockerfile")
    (tmp_path / "Dockerfiles").mkdir()
    (tmp_path / "Dockerfiles/Dockerfile.app").symlink_to("../elsewhere/real")
    (tmp_path / "images").mkdir()
    (tmp_path / "images/linked").symlink_to("../elsewhere/folder")
    assert found(tmp_path, DEFAULT_PATTERN, "images/<name>/Dockerfile") == {
        "app": ("Dockerfiles/Dockerfile.app", "."),
        "linked": ("images/linked/Dockerfile", "images/linked"),
    }


def test_a_link_to_nothing_is_no_silent_loss(tmp_path: Path) -> None:
    write(tmp_path, "Dockerfiles/Dockerfile.ok")
    (tmp_path / "Dockerfiles/Dockerfile.gone").symlink_to("nowhere")
    (tmp_path / "Dockerfiles/Dockerfile.loop").symlink_to("Dockerfile.loop")
    message = refusal(tmp_path, *DEFAULT)
    assert "Dockerfiles/Dockerfile.gone: cannot be read" in message
    assert "Dockerfiles/Dockerfile.loop: cannot be read" in message
    write(tmp_path, "images/a/x")
    (tmp_path / "images/a/Dockerfile").symlink_to("nowhere")
    assert "images/a/Dockerfile: cannot be read" in refusal(tmp_path, "images/<name>/Dockerfile")


def test_folders_that_link_in_a_circle_end(tmp_path: Path) -> None:
    write(tmp_path, "a/b/Dockerfile.app")
    (tmp_path / "a/b/up").symlink_to(tmp_path, target_is_directory=True)
    (tmp_path / "a/self").symlink_to("self")
    assert found(tmp_path, "**/Dockerfile.<name>") == {"app": ("a/b/Dockerfile.app", ".")}
    assert found(tmp_path, "a/*/Dockerfile.<name>") == {"app": ("a/b/Dockerfile.app", ".")}


def test_a_pipe_is_no_dockerfile(tmp_path: Path) -> None:
    (tmp_path / "Dockerfiles").mkdir()
    os.mkfifo(tmp_path / "Dockerfiles/Dockerfile.app")
    assert "Dockerfiles/Dockerfile.app: this is no file" in refusal(tmp_path, *DEFAULT)


def test_only_what_a_pattern_can_match_is_walked(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    write(tmp_path, "docker/images/app/Dockerfile", "docker/other/x", "src/a/b/c", "docker/images/app/deep/er/x")
    scanned: list[str] = []
    real = os.scandir

    def scandir(path: str) -> object:
        scanned.append(os.path.relpath(path, tmp_path))
        return real(path)

    monkeypatch.setattr(os, "scandir", scandir)
    assert list(found(tmp_path, "docker/images/<name>/Dockerfile")) == ["app"]
    assert scanned == ["docker/images"]


def test_many_dockerfiles_are_found_fast(tmp_path: Path) -> None:
    def finding(number: int) -> Callable[[], object]:
        root = write(tmp_path / str(number), *(f"Dockerfiles/Dockerfile.image-{i:04}" for i in range(number)))
        assert len(discover(root, DEFAULT)) == number
        return lambda: discover(root, DEFAULT)

    assert calls_each(finding) < 24  # 19


PIECES = st.sampled_from(["<name>", "*", "**", "/", ".", "a", "Dockerfile", "[", "]", "?", "\\", "^", "(", "b", "~"])


@given(st.lists(st.lists(PIECES, max_size=6).map("".join), max_size=3))
def test_no_pattern_raises_anything_but_a_config_error(patterns: list[str]) -> None:
    with tempfile.TemporaryDirectory() as folder:
        root = write(Path(folder), "a/Dockerfile", "a/b/Dockerfile.b", "Dockerfile", "a/[/b", "b/a~")
        try:
            result = discover(root, patterns)
        except ConfigError:
            return
        assert [one.name for one in result] == sorted({one.name for one in result})
        assert all((root / one.dockerfile).is_file() and (root / one.context).is_dir() for one in result)


@given(
    st.sets(
        st.sampled_from(["Dockerfiles/Dockerfile.a", "images/b/Dockerfile", "x/y/c.Dockerfile", ".hidden/d.Dockerfile"])
    ),
    st.sets(st.sampled_from(["Dockerfiles/Dockerfile.l", "images/linked", "x/z", "x/circle"])),
    st.sampled_from(["images/b", "../images/b", "../x/y", "b/Dockerfile", "nowhere", "circle", "/images/b"]),
)
def test_a_snapshot_is_searched_by_the_same_rules(
    tmp_path_factory: pytest.TempPathFactory, files: set[str], links: set[str], target: str
) -> None:
    root = write(tmp_path_factory.mktemp("root"), "images/README", *files)
    for link in links:
        (root / link).parent.mkdir(parents=True, exist_ok=True)
        (root / link).symlink_to(target)
    patterns = ["Dockerfiles/Dockerfile.<name>", "images/<name>/Dockerfile", "**/<name>.Dockerfile"]

    def search(call: Callable[[], tuple[Found, ...]]) -> tuple[Found, ...] | str:
        try:
            return call()
        except ConfigError as error:
            return "\n".join(line for line in str(error).splitlines() if "cannot be read" in line)

    expected = search(
        lambda: discover(write(root, "Dockerfiles/Dockerfile.x", "images/x/Dockerfile", "x.Dockerfile"), patterns)
    )
    found = search(lambda: discover_in(tree_of_folder(root), patterns))
    if target != "/images/b":  # on this machine that is another place
        assert isinstance(found, str) == isinstance(expected, str)
        assert isinstance(found, str) or found == expected
    for path in files | links:
        may = may_find(patterns, path) or may_find(patterns, path, on_the_way=True)
        assert may or isinstance(found, str) or path not in {one.dockerfile for one in found}
