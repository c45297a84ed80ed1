"""`invoke generate`, and families in the other commands, as a user calls them."""

from __future__ import annotations

import json
import subprocess
import sys
from typing import TYPE_CHECKING

import pytest

from tests.images.families.repository import family

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    from tests.cli.conftest import Invoke

PYTHON = "extends: base:2025.09\ntags: [3.12.9, 3.13.7]\nvariants: [semantic]\n"
FILES = {
    **family("tags: [2025.09]\n", name="base"),
    **family(PYTHON, dockerfile="FROM {{ base }}\nCOPY x /x\n", Dockerfile_semantic_jinja2="FROM {{ parent }}\n"),
    "images/python/x": "1",
}
ALL = [
    "dist/base/2025.09/Dockerfile",
    *(f"dist/python/{tag}/Dockerfile" for tag in ("3.12.9-semantic", "3.12.9", "3.13.7-semantic", "3.13.7")),
]


def write(project: Path, files: Mapping[str, str]) -> None:
    for path, text in files.items():
        (project / path).parent.mkdir(parents=True, exist_ok=True)
        (project / path).write_text(text)


@pytest.fixture
def families(project: Path) -> Path:
    write(project, FILES)
    return project


def commit(project: Path) -> None:
    subprocess.run(["git", "add", "--all"], cwd=project, check=True)
    identity = ("-c", "user.name=t", "-c", "user.email=t@example.org")
    subprocess.run(["git", *identity, "commit", "-qm", "state"], cwd=project, check=True)


def statuses(done: subprocess.CompletedProcess[str]) -> dict[str, str]:
    return {one["path"]: one["status"] for one in json.loads(done.stdout)["files"]}


def generated(project: Path) -> dict[str, bytes]:
    found = project.glob("dist/**/*")
    return {str(path.relative_to(project)): path.read_bytes() for path in found if path.is_file()}


def test_all_are_written_and_then_unchanged(families: Path, invoked: Invoke) -> None:
    done = invoked("generate")
    assert done.returncode == 0, done.stderr
    assert [line.split() for line in done.stdout.splitlines()[1:]] == [["created", path] for path in ALL]
    assert (families / ALL[3]).read_text() == "FROM localhost:5050/python:3.13.7\n"
    before = generated(families)
    again = invoked("generate")
    assert (again.stdout, "5 unchanged" in again.stderr) == ("", True)
    assert generated(families) == before
    status = subprocess.run(["git", "status", "--porcelain"], cwd=families, check=True, capture_output=True, text=True)
    assert "dist" not in status.stdout


def test_some_are_written(families: Path, invoked: Invoke) -> None:
    assert set(statuses(invoked("generate", "python:3.13,base", "--json"))) == {ALL[0], ALL[4]}
    assert set(generated(families)) & set(ALL) == {ALL[0], ALL[4]}
    assert set(statuses(invoked("generate", "pyth*:3.1?.?-*", "--json"))) == {ALL[1], ALL[3]}


def test_a_dry_run_writes_nothing(families: Path, invoked: Invoke) -> None:
    done = invoked("generate", "--dry-run", "--json")
    assert (done.returncode, set(statuses(done).values())) == (0, {"missing"})
    assert not (families / "dist").exists()


def test_the_check_names_what_is_not_current(families: Path, invoked: Invoke) -> None:
    assert invoked("generate", "--check").returncode == 1
    assert not (families / "dist").exists()
    invoked("generate")
    assert invoked("generate", "--check").returncode == 0

    write(families, {"images/python/image.yml": PYTHON.replace("3.12.9", "3.14.0")})
    (families / ALL[0]).write_text("edited\n")
    before = generated(families)
    done = invoked("generate", "--check", "--json")
    assert done.returncode == 1
    assert "dist/ is not current" in done.stderr
    assert json.loads(done.stdout)["ok"] is False
    assert statuses(done) == {
        ALL[0]: "differs",
        ALL[1]: "stale",
        ALL[2]: "stale",
        ALL[3]: "unchanged",
        ALL[4]: "unchanged",
        "dist/python/3.14.0/Dockerfile": "missing",
        "dist/python/3.14.0-semantic/Dockerfile": "missing",
    }
    assert generated(families) == before

    done = invoked("generate")
    assert done.returncode == 0
    assert f"{ALL[0]} was changed by hand: what it was is now {ALL[0]}.edited" in done.stderr
    assert not (families / "dist/python/3.12.9").exists()
    assert invoked("generate", "--check").returncode == 0


def test_a_part_takes_nothing_away(families: Path, invoked: Invoke) -> None:
    invoked("generate")
    write(families, {"images/python/image.yml": PYTHON.replace("3.12.9", "3.14.0")})
    assert set(statuses(invoked("generate", "base", "--json"))) == {ALL[0]}
    assert (families / ALL[1]).exists()


def test_a_broken_template_hides_no_other_and_takes_nothing_away(families: Path, invoked: Invoke) -> None:
    invoked("generate")
    write(families, {"images/base/Dockerfile.jinja2": "FROM {{ nope }}\n"})
    done = invoked("generate", "--json")
    assert done.returncode == 1
    assert "images/base/Dockerfile.jinja2:1: `nope` is not defined" in done.stderr
    assert json.loads(done.stdout)["errors"][0]["name"] == "base:2025.09"
    assert (families / ALL[0]).exists()
    assert set(statuses(done).values()) == {"unchanged"}
    plan = invoked("plan", "all", "--json")
    assert plan.returncode == 1
    assert json.loads(plan.stdout)["unplanned"][0]["name"] == "base:2025.09"


def test_what_is_no_family(project: Path, invoked: Invoke) -> None:
    write(project, {"Dockerfiles/Dockerfile.app": "FROM debian\n"})
    done = invoked("generate")
    assert (done.returncode, "there is no family here" in done.stderr) == (2, True)
    done = invoked("generate", "app")
    assert (done.returncode, "nothing is generated for app" in done.stderr) == (2, True)
    done = invoked("generate", "ap")
    assert (done.returncode, "did you mean `app`?" in done.stderr) == (2, True)


def test_an_error_in_the_file_is_told_with_its_line(families: Path, invoked: Invoke) -> None:
    write(families, {"images/python/image.yml": "tags:\n- 1.0\n- 1.0\n"})
    for task in ("generate", "list", "changed"):
        done = invoked(task)
        assert done.returncode == 2
        assert "images/python/image.yml:3: the tag `1.0` stands twice: here and in line 2" in done.stderr


def test_notes_are_said(families: Path, invoked: Invoke) -> None:
    write(families, {"images/base/image.yml": "tags: [2025.09, 2025]\n"})
    assert "note: images/base/image.yml:1: `2025` is a tag of its own" in invoked("generate").stderr


def planned(done: subprocess.CompletedProcess[str]) -> dict[str, list[str | None]]:
    assert done.returncode == 0, done.stderr
    images = json.loads(done.stdout)["images"]
    return {one["name"]: [reason["path"] for reason in one["reasons"]] for one in images}


def test_a_family_is_planned_with_what_it_stands_on(families: Path, invoked: Invoke) -> None:
    assert list(planned(invoked("plan", "python:3.13-semantic", "--json"))) == [
        "base:2025.09",
        "python:3.13.7",
        "python:3.13.7-semantic",
    ]
    assert len(planned(invoked("plan", "python", "--json"))) == 5
    done = invoked("plan", "python:3.14", "--json")
    assert "`python` has no tag `3.14`: did you mean" in done.stderr
    assert not (families / "dist").exists()


def test_what_a_change_of_a_family_affects(families: Path, invoked: Invoke) -> None:
    commit(families)
    changed = ("changed", "--since", "HEAD", "--json")
    assert planned(invoked(*changed)) == {}

    write(families, {"images/python/image.yml": PYTHON.replace("3.13.7", "3.13.7, 3.13.8")})
    assert set(planned(invoked(*changed))) == {"python:3.13.8", "python:3.13.8-semantic"}

    write(families, {"images/python/image.yml": f"# more words\nvariables: {{unused: 1}}\n{PYTHON}"})
    assert planned(invoked(*changed)) == {}

    write(families, {"images/python/Dockerfile.semantic.jinja2": "FROM {{ parent }}\nRUN {{ tag }}\n"})
    assert planned(invoked(*changed)) == {
        "python:3.12.9-semantic": ["dist/python/3.12.9-semantic/Dockerfile"],
        "python:3.13.7-semantic": ["dist/python/3.13.7-semantic/Dockerfile"],
    }
    why = invoked("why", "python:3.13-semantic", "--since", "HEAD").stdout
    assert "modified; made from images/python/Dockerfile.semantic.jinja2 and images/python/image.yml" in why


def test_a_template_that_comes_or_goes_is_a_change(families: Path, invoked: Invoke) -> None:
    commit(families)
    (families / "images/python/Dockerfile.semantic.jinja2").unlink()
    affected = {"python:3.12.9-semantic", "python:3.13.7-semantic"}
    assert set(planned(invoked("changed", "--since", "HEAD", "--json"))) == affected
    commit(families)
    write(families, {"images/python/Dockerfile.semantic.jinja2": "FROM {{ parent }}\n"})
    assert set(planned(invoked("changed", "--since", "HEAD", "--json"))) == affected
    commit(families)
    assert set(planned(invoked("changed", "--since", "HEAD~1", "--head", "HEAD", "--json"))) == affected


def test_what_is_generated_on_disk_is_no_change(families: Path, invoked: Invoke) -> None:
    commit(families)
    invoked("generate")
    (families / ALL[4]).write_text("FROM elsewhere\n")
    assert planned(invoked("changed", "--since", "HEAD", "--json")) == {}


def test_inputs_and_dependents_say_what_a_dockerfile_is_made_from(families: Path, invoked: Invoke) -> None:
    found = json.loads(invoked("inputs", "python:3.13.7", "--json").stdout)["files"]
    assert [(one["path"], one["detail"]) for one in found] == [
        (
            "dist/python/3.13.7/Dockerfile",
            "Dockerfile, made from images/python/Dockerfile.jinja2 and images/python/image.yml",
        ),
        ("images/python/x", "COPY x"),
    ]
    images = json.loads(invoked("why", "--file", "images/python/Dockerfile.jinja2", "--json").stdout)["images"]
    direct = {one["name"] for one in images if one["kind"] == "dockerfile"}
    assert direct == {"python:3.12.9", "python:3.13.7"}


def test_a_link_that_leads_out_of_the_repository_is_no_template(
    families: Path, tmp_path: Path, invoked: Invoke
) -> None:
    (tmp_path / "outside").write_text("FROM secret\n")
    (families / "images/base/Dockerfile.jinja2").unlink()
    (families / "images/base/Dockerfile.jinja2").symlink_to(tmp_path / "outside")
    done = invoked("generate", "base")
    assert done.returncode == 1
    assert "there is no template `Dockerfile.jinja2`" in done.stderr


def test_without_families_nothing_of_theirs_is_loaded(project: Path, invoked: Invoke) -> None:
    write(project, {"Dockerfiles/Dockerfile.app": "FROM debian\n"})
    commit(project)
    program = (
        "import sys; from invoke.main import program\n"
        "program.run(['invoke', 'changed', '--since', 'HEAD'], exit=False)\n"
        "print([name for name in sys.modules if 'jinja2' in name or 'families' in name], file=sys.stderr)"
    )
    invoked("changed", "--since", "HEAD")  # settings are remembered
    done = subprocess.run([sys.executable, "-c", program], cwd=project, capture_output=True, text=True, check=True)
    assert done.stderr.splitlines()[-1] == "[]"


def test_a_bake_file_holds_what_is_made_from_templates(families: Path, invoked: Invoke) -> None:
    target = json.loads(invoked("plan", "python:3.13.7", "--bake").stdout)["target"]["python_3a_3_2e_13_2e_7"]
    assert target["dockerfile-inline"].startswith("FROM ")
    assert not (families / "dist").exists()
    invoked("generate")
    assert target["dockerfile-inline"] == (families / "dist/python/3.13.7/Dockerfile").read_text()
