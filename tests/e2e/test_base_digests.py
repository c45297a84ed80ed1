"""Outside base images that move: recorded when an image is built, seen by a scheduled run, with the real registry."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from imagewright.changes.published import BASES
from imagewright.registry.client import Registry
from tests.e2e.repository import Repository

if TYPE_CHECKING:
    from tests.e2e.conftest import Inv, LocalEngine

pytestmark = pytest.mark.e2e


@pytest.fixture
def repository(engine: LocalEngine, inv: Inv, base_image: str, tmp_path: Path) -> Repository:
    """`app` on an outside image that the mirror serves, `child` on app, `other` on nothing; committed, not built."""
    (tmp_path / "project").mkdir()
    r = Repository(tmp_path / "project", engine, inv, base_image)
    publish_base(r, "one")
    r.dockerfile("app", "# outside", f"FROM {base_name(r)}:1", "COPY --from=BASE /bin/busybox /copied")
    r.dockerfile("child", "FROM PREFIX/app", "RUN cat /content > /seen")
    r.dockerfile("other", "FROM scratch", "COPY tasks.py /")
    r.git("init", "-q", "--initial-branch=main")
    r.commit()
    return r


def base_name(r: Repository) -> str:
    """An outside image of this test's own, as a Dockerfile has it: Docker Hub's, for all that it knows."""
    return f"{r.prefix.rpartition('/')[2]}-base"


def publish_base(r: Repository, content: str) -> str:
    """Push a base with a content of its own; the digest of its index or manifest."""
    folder = r.root.parent / "base"
    folder.mkdir(exist_ok=True)
    (folder / "Dockerfile").write_text(f"FROM {r.base}\nRUN echo {content} > /content\n")
    reference = f"{r.engine.registry}/docker.io/library/{base_name(r)}:1"
    r.engine.build(folder, "--provenance=false", "--push", "--tag", reference)
    digest = r.digest(reference)
    assert digest
    return digest


def github(r: Repository, name: str, **payload: Any) -> dict[str, str]:
    """The environment of a run on GitHub."""
    event = r.root.parent / f"{name}.json"
    event.write_text(json.dumps({"repository": {"default_branch": "main"}, **payload}))
    return {
        "GITHUB_ACTIONS": "true",
        "GITHUB_EVENT_NAME": name,
        "GITHUB_EVENT_PATH": str(event),
        "GITHUB_REF": "refs/heads/main",
        "GITHUB_SHA": r.git("rev-parse", "HEAD"),
    }


def planned(r: Repository, env: Mapping[str, str], *args: str) -> dict[str, list[dict[str, Any]]]:
    """The reasons of each image that `build-changed` would build."""
    done = r.invoke("build-changed", "--dry-run", "--json", *args, env=env)
    assert done.returncode == 0, done.stderr
    document = json.loads(done.stdout)
    return {one["name"]: one["reasons"] for one in document["images"] if one["action"] == "build"}


def recorded(r: Repository, reference: str) -> Any:
    return json.loads(r.image(reference)["config"]["Labels"][BASES])


def test_a_scheduled_run_builds_what_stands_on_a_base_that_has_moved(repository: Repository) -> None:
    r = repository
    first = r.digest(f"{r.engine.registry}/docker.io/library/{base_name(r)}:1")
    r.build("all")
    hub = "docker.io/library"
    base = r.digest(f"{r.engine.registry}/{hub}/{r.base}")
    assert recorded(r, r.reference("app")) == {f"{hub}/{base_name(r)}:1": first, f"{hub}/{r.base}": base}
    assert recorded(r, r.reference("child")) == recorded(r, r.reference("other")) == {}

    scheduled = github(r, "schedule", schedule="0 3 * * *")
    manual = github(r, "workflow_dispatch")
    pushed = github(r, "push", before=r.git("rev-parse", "HEAD"), forced=False)
    for env in (scheduled, manual):
        assert planned(r, env) == {}

    second = publish_base(r, "two")
    assert first
    assert second != first
    assert planned(r, pushed) == {}
    assert planned(r, scheduled, "--since", "registry") == {}
    for env in (scheduled, manual):
        reasons = planned(r, env)
        assert {name: [reason["kind"] for reason in of] for name, of in reasons.items()} == {
            "app": ["base"],
            "child": ["parent"],
        }
        detail = reasons["app"][0]["detail"]
        assert detail == (
            f"{base_name(r)}:1 is now {second[:19]}…, it was built on {first[:19]}… (Dockerfiles/Dockerfile.app:2)"
        )

    told = r.invoke("why", "child", env=scheduled)
    assert re.search(r"child is built\n  .*app.*\n    app: .* is now sha256:", told.stdout), told.stdout
    (reason,) = json.loads(r.invoke("why", "app", "--json", env=scheduled).stdout)["reasons"]
    assert (reason["kind"], reason["line"]) == ("base", 2)

    done = r.invoke("build-changed", "--json", env=scheduled)
    assert done.returncode == 0, done.stderr
    results = {one["name"]: one for one in json.loads(done.stdout)["images"]}
    assert {name: one["status"] for name, one in results.items()} == {"app": "built", "child": "built"}
    built = {name: f"{r.prefix}/{name}@{one['digest']}" for name, one in results.items()}
    assert r.contents((built["child"], "/seen")) == ["two\n"]
    assert recorded(r, built["app"])[f"{hub}/{base_name(r)}:1"] == second
    assert planned(r, scheduled) == {}


def test_what_was_not_recorded_is_built(repository: Repository) -> None:
    r = repository
    bake = r.root.parent / "bake.json"
    bake.write_text(r.invoke("plan", "all", "--bake").stdout)
    r.engine.docker("buildx", "bake", "--builder", "imagewright-tests", "--file", str(bake), cwd=r.root)
    reasons = planned(r, github(r, "schedule"))
    assert {name: {reason["kind"] for reason in of} for name, of in reasons.items()} == {
        "app": {"unknown"},
        "child": {"parent"},
    }
    assert [reason["detail"] for reason in reasons["app"]] == [
        f"the published image does not say which {base_name(r)}:1 it was built on (Dockerfiles/Dockerfile.app:2)",
        f"the published image does not say which {r.base} it was built on (Dockerfiles/Dockerfile.app:3)",
    ]


def test_a_base_that_is_not_to_be_had_today_means_a_build(repository: Repository) -> None:
    r = repository
    r.build("all")
    r._ask(f"{r.engine.registry}/docker.io/library/{base_name(r)}:1", Registry.delete_tag)
    reasons = planned(r, github(r, "schedule"))
    assert list(reasons) == ["app", "child"]
    (reason,) = reasons["app"]
    assert reason["kind"] == "unknown"
    assert reason["detail"].startswith(f"today's digest of {base_name(r)}:1 is not to be had: ")


def test_the_same_build_again_has_the_same_digest(repository: Repository) -> None:
    r = repository
    assert r.build("app")["app"]["digest"] == r.build("app")["app"]["digest"]
