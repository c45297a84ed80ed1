"""`invoke build` and `invoke plan`, from the command line to the real registry."""

from __future__ import annotations

import gzip
import hashlib
import json
import re
import shutil
import tarfile
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from tests.e2e.repository import Repository

if TYPE_CHECKING:
    from tests.e2e.conftest import Inv, LocalEngine

pytestmark = pytest.mark.e2e

RANDOM = "head -c 16 /dev/urandom | od -x"


@pytest.fixture
def repository(engine: LocalEngine, inv: Inv, base_image: str, tmp_path: Path) -> Repository:
    (tmp_path / "project").mkdir()
    return Repository(tmp_path / "project", engine, inv, base_image)


def test_children_stand_on_exactly_the_parents_of_this_run(repository: Repository) -> None:
    r = repository
    r.configure("images:\n  tooling: {build_args: {REGISTRY: PREFIX}}\n")
    r.dockerfile("base", "FROM BASE", f"RUN {RANDOM} > /base")
    r.dockerfile("tooling", "ARG REGISTRY", "ARG TAG=latest", "FROM ${REGISTRY}/base:${TAG}", "RUN cp /base /tooling")
    r.dockerfile("copied", "FROM BASE AS made", f"RUN {RANDOM} > /copied", "FROM scratch", "COPY --from=made /copied /")
    r.dockerfile("mounted", "FROM BASE", f"RUN {RANDOM} > /mounted")
    r.dockerfile(
        "app",
        "FROM PREFIX/tooling",
        "COPY --from=PREFIX/copied:stable /copied /copied",
        "RUN --mount=from=PREFIX/mounted,target=/from cat /from/mounted > /mounted",
    )
    r.dockerfile("stranger", "FROM BASE", "RUN echo stranger > /base")
    r.build("stranger", "--tag", "latest")
    latest = f"{r.prefix}/base:latest"
    r.engine.docker("buildx", "imagetools", "create", "--tag", latest, r.reference("stranger", "latest"))
    stranger = r.digest(latest)
    assert stranger

    all_of_them = "base,copied,mounted,tooling,app"  # --tag is about the images that are named
    first = r.build(all_of_them, "--tag", "one")
    assert {one["name"]: one["status"] for one in first.document["images"]} == dict.fromkeys(
        ("base", "copied", "mounted", "tooling", "app"), "built"
    )
    second = r.build(all_of_them, "--tag", "two", "--no-cache")
    third = r.build(all_of_them, "--tag", "two")

    for outcome, tag in ((first, "one"), (third, "two")):
        assert outcome.digests() == {name: r.digest(r.reference(name, tag)) for name in outcome.digests()}
        base, tooling, app = (r.layers(r.reference(name, tag)) for name in ("base", "tooling", "app"))
        assert tooling[: len(base)] == base
        assert app[: len(tooling)] == tooling
    copied, mounted = (r.reference(name, "two") for name in ("copied", "mounted"))
    app_of_two = r.reference("app", "two")
    own_copied, own_mounted, *theirs = r.contents(
        (app_of_two, "/copied"), (app_of_two, "/mounted"), (copied, "/copied"), (mounted, "/mounted")
    )
    assert [own_copied, own_mounted] == theirs
    assert not set(first.digests().values()) & set(second.digests().values()), "no step was run again"
    assert third.digests() == second.digests()
    steps = {one["name"]: (one["cached_steps"], one["steps"]) for one in third.document["images"]}
    assert steps == {"base": (1, 1), "copied": (2, 2), "mounted": (1, 1), "tooling": (1, 1), "app": (2, 2)}
    assert r.digest(latest) == stranger


def test_on_each_platform_the_child_stands_on_the_parents_same_platform(repository: Repository) -> None:
    r = repository
    r.write("amd64", "a")
    r.write("arm64", "b")
    r.dockerfile("base", "FROM scratch", "ARG TARGETARCH", "COPY ${TARGETARCH} /arch")
    r.dockerfile("app", "FROM PREFIX/base", "COPY tasks.py /")
    outcome = r.build("app", "--platform", "linux/amd64,linux/arm64")
    assert outcome["app"]["platforms"] == ["linux/amd64", "linux/arm64"]
    base, app = (r.images(r.reference(name)) for name in ("base", "app"))
    assert set(app) == {"linux/amd64", "linux/arm64"}
    lowest = {platform: image["rootfs"]["diff_ids"][0] for platform, image in app.items()}
    assert lowest == {platform: image["rootfs"]["diff_ids"][0] for platform, image in base.items()}
    assert len(set(lowest.values())) == 2
    assert set(outcome["app"]["sizes"]) == {"linux/amd64", "linux/arm64"}


def test_names_and_tags(repository: Repository) -> None:
    r = repository
    for name in ("snapcast", "snapclient", "other"):
        r.dockerfile(name, "FROM scratch", "COPY tasks.py /")
    outcome = r.build("snap*,other:1.2,other:1.3", "--tag", "a,b")
    assert {one["name"]: one["tags"] for one in outcome.document["images"]} == {
        "snapcast": [r.reference("snapcast", "a"), r.reference("snapcast", "b")],
        "snapclient": [r.reference("snapclient", "a"), r.reference("snapclient", "b")],
        "other": [r.reference("other", "1.2"), r.reference("other", "1.3")],
    }
    for one in outcome.document["images"]:
        assert {r.digest(tag) for tag in one["tags"]} == {one["digest"]}
        assert one["reference"] == one["tags"][0]
    assert r.digest(r.reference("other")) is None
    assert set(r.build("all").digests()) == {"snapcast", "snapclient", "other"}


def test_a_commit_has_its_own_tag_and_a_changed_tree_has_not(repository: Repository) -> None:
    r = repository
    r.dockerfile("app", "FROM scratch", "COPY tasks.py /")
    commit = r.commit()
    r.git("remote", "add", "origin", "https://user:password@example.org/me/images.git")
    clean = r.build("app")
    assert clean["app"]["tags"] == [r.reference("app", tag) for tag in ("dev", f"sha-{commit[:7]}", "master", "latest")]
    assert {r.digest(tag) for tag in clean["app"]["tags"]} == {clean["app"]["digest"]}
    image = r.image(r.reference("app"))
    assert re.fullmatch("sha256:[0-9a-f]{64}", image["config"]["Labels"].pop("io.imagewright.fingerprint"))
    assert image["config"]["Labels"].pop("io.imagewright.bases") == "{}"
    assert image["config"]["Labels"] == {
        "org.opencontainers.image.created": "2023-11-14T22:13:20Z",
        "org.opencontainers.image.revision": commit,
        "org.opencontainers.image.source": "https://example.org/me/images",
        "org.opencontainers.image.title": "app",
        "org.opencontainers.image.version": "dev",
    }
    assert image["created"] == "2023-11-14T22:13:20Z"

    r.write("note", "not committed")
    dirty = r.build("app")
    assert dirty["app"]["tags"] == [r.reference("app")]
    labels = r.image(r.reference("app"))["config"]["Labels"]
    assert labels["org.opencontainers.image.revision"] == f"{commit}-dirty"
    assert r.digest(r.reference("app", f"sha-{commit[:7]}")) == clean["app"]["digest"]


def test_outside_git_there_is_no_revision(repository: Repository) -> None:
    r = repository
    r.dockerfile("app", "FROM scratch", "COPY tasks.py /")
    outcome = r.build("app")
    assert outcome["app"]["tags"] == [r.reference("app")]
    labels = r.image(r.reference("app"))["config"]["Labels"]
    assert set(labels) == {
        "io.imagewright.bases",
        "io.imagewright.fingerprint",
        "org.opencontainers.image.title",
        "org.opencontainers.image.version",
    }


def test_another_checkout_of_a_commit_gives_the_same_digest(repository: Repository, inv: Inv, tmp_path: Path) -> None:
    r = repository
    r.dockerfile("app", "FROM BASE", "WORKDIR /work", "COPY tasks.py /", "RUN touch /made")
    r.commit()
    first = r.build("app")
    shutil.copytree(r.root, tmp_path / "elsewhere")
    elsewhere = Repository(tmp_path / "elsewhere", r.engine, inv, r.base)
    elsewhere.prefix = r.prefix
    elsewhere.git("checkout", "-q", "--", ".")
    assert elsewhere.build("app").digests() == first.digests()


def test_without_a_push_children_are_built_all_the_same(repository: Repository) -> None:
    r = repository
    r.dockerfile("base", "FROM BASE", "RUN echo base > /base")
    r.dockerfile("tooling", "FROM PREFIX/base", "RUN grep base /base")
    r.dockerfile("app", "FROM PREFIX/tooling:1", "RUN grep base /base && touch /app")
    outcome = r.build("app", "--no-push")
    assert outcome.digests() == {"base": None, "tooling": None, "app": None}
    assert [r.digest(r.reference(name)) for name in ("base", "tooling", "app")] == [None, None, None]


def test_archives(repository: Repository) -> None:
    r = repository
    r.root = r.root.rename(r.root.with_name("a, ${b} %{c} d"))  # all of it means something in a bake file
    r.dockerfile("base", "FROM scratch", "COPY tasks.py /base")
    r.dockerfile("app", "FROM PREFIX/base", "COPY config /config")
    r.commit()
    outcome = r.build("app", "--output", "tar", "--tag", "1.0")
    assert not (r.root / "dist/app/1.0/image").exists()
    unpacked = r.root.parent / "unpacked"
    with tarfile.open(r.root / "dist/app/1.0/image.tar") as archive:
        archive.extractall(unpacked, filter="data")
    manifest = read_layout(unpacked)
    assert outcome["app"]["digest"] == manifest["digest"]
    assert [layer["members"] for layer in manifest["layers"]] == [["base"], ["config", "config/images.yml"]]
    assert r.digest(r.reference("app", "1.0")) is None

    again = r.build("all", "--output", "oci", "--tag", "1.0")
    assert again["app"]["digest"] == outcome["app"]["digest"]
    for name in ("base", "app"):
        assert read_layout(r.root / f"dist/{name}/1.0/image")["digest"] == again[name]["digest"]

    r.write("config/more", "more")
    changed = r.build("app", "--output", "oci", "--tag", "1.0")
    assert read_layout(r.root / "dist/app/1.0/image")["digest"] == changed["app"]["digest"] != again["app"]["digest"]


def read_layout(folder: Path) -> dict[str, Any]:
    """The one image of an OCI layout (image-spec, image-layout.md), with everything in it checked."""
    assert json.loads((folder / "oci-layout").read_text()) == {"imageLayoutVersion": "1.0.0"}
    (top,) = json.loads((folder / "index.json").read_text())["manifests"]

    def blob(descriptor: dict[str, Any]) -> bytes:
        data: bytes = (folder / "blobs" / descriptor["digest"].replace(":", "/")).read_bytes()
        assert (f"sha256:{hashlib.sha256(data).hexdigest()}", len(data)) == (descriptor["digest"], descriptor["size"])
        return data

    manifest = json.loads(blob(top))
    config = json.loads(blob(manifest["config"]))
    layers = []
    for layer, diff_id in zip(manifest["layers"], config["rootfs"]["diff_ids"], strict=True):
        data = gzip.decompress(blob(layer))
        assert f"sha256:{hashlib.sha256(data).hexdigest()}" == diff_id
        scratch = folder / "layer.tar"
        scratch.write_bytes(data)
        with tarfile.open(scratch) as archive:
            layers.append({"members": [member.name for member in archive]})
        scratch.unlink()
    return {"digest": top["digest"], "layers": layers}


RECORDER = """\
#!/bin/sh
# docker, with what it was told kept: its arguments, the bake file, and what it writes besides the image
printf '%s\\n' "$0" "$@" >> "$RECORDS/arguments"
previous=
for one in "$@"; do
    case $previous in
        --file) cat "$one" >> "$RECORDS/bake" ;;
        --metadata-file) metadata=$one ;;
    esac
    previous=$one
done
"$REAL_DOCKER" "$@"
code=$?
[ -z "$metadata" ] || cat "$metadata" >> "$RECORDS/metadata" 2> /dev/null
exit $code
"""


def test_secrets_reach_the_build_and_nothing_else(repository: Repository, tmp_path: Path) -> None:
    r = repository
    r.configure(
        """images:
  app:
    build_args: {PLAIN: "${HOME} %{if} $5"}
    secret_build_args: [CONFIGURED]
    secrets: [{id: npm, env: NPM_TOKEN}, {id: file, src: "a, secret.txt"}]
"""
    )
    values = {"CONFIGURED": "c0nfigured secret", "GIVEN": "g1ven-${secret}", "NPM_TOKEN": "npm_t0ken"}
    r.write("a, secret.txt", "fr0m-file")
    r.write(".dockerignore", "*secret.txt\n")
    r.dockerfile(
        "app",
        "FROM BASE",
        "ARG PLAIN",
        "ARG OTHER",
        "ARG CONFIGURED",
        "ARG GIVEN",
        """RUN test "$PLAIN" = '${HOME} %{if} $5' && test "$OTHER" = 'a=b ${c}'""",
        f"""RUN test "$CONFIGURED" = "{values["CONFIGURED"]}" && echo "say $CONFIGURED" """.replace(
            values["CONFIGURED"], "$(echo c0nfi)$(echo gured secret)"
        ),
        """RUN test "$GIVEN" = 'g1ven-${''secret}' && echo "say $GIVEN" """,
        "RUN --mount=type=secret,id=npm --mount=type=secret,id=file cat /run/secrets/*"
        " && test $(cat /run/secrets/npm | wc -c) = 9 && test $(cat /run/secrets/file | wc -c) = 9",
        "RUN echo g1ven-; false",
    )
    records = tmp_path / "records"
    records.mkdir()
    real = shutil.which("docker", path=r.engine.env["PATH"])
    (tmp_path / "bin").mkdir()
    (tmp_path / "bin/docker").write_text(RECORDER)
    (tmp_path / "bin/docker").chmod(0o755)
    env = {
        **values,
        "PATH": f"{tmp_path / 'bin'}:{r.engine.env['PATH']}",
        "REAL_DOCKER": str(real),
        "RECORDS": str(records),
    }
    outcome = r.build(
        "app", "--build-arg", "GIVEN", "--build-arg", "OTHER=a=b ${c}", "--progress", "plain", env=env, code=1
    )
    assert "Dockerfile.app:10: app: failed with exit code 1" in outcome["app"]["error"]
    log = Path(outcome["app"]["log"]).read_text()
    assert "say ***" in log
    said = {
        "output": outcome.stdout + outcome.stderr,
        "log": log,
        "plan": r.invoke("plan", "app", "--bake", env=env).stdout + r.invoke("plan", "app", "--json", env=env).stdout,
        **{file.name: file.read_text() for file in records.iterdir()},
    }
    assert "--metadata-file" in said["arguments"]
    assert '"GIVEN": "${GIVEN}"' in said["bake"]
    for what, text in said.items():
        for value in (*values.values(), "fr0m-file"):
            assert value not in text, f"{value} in {what}"


def test_the_plan_and_its_bake_file_in_other_hands(repository: Repository) -> None:
    r = repository
    r.configure("images:\n  app: {labels: {note: 'cost $${5} ${x} %{y}'}, secret_build_args: [TOKEN]}\n")
    r.dockerfile("base", "FROM BASE", "RUN echo base > /base")
    r.dockerfile("app", "FROM PREFIX/base:stable", "ARG TOKEN", "COPY tasks.py /${TOKEN}")
    r.commit()
    env = {"TOKEN": "abc"}
    document = json.loads(r.invoke("plan", "app", "--json").stdout)
    assert [one["name"] for one in document["images"]] == ["base", "app"]
    assert document["images"][1]["parents"] == [{"name": "base", "from": "build", "digest": None}]
    assert r.digest(r.reference("base")) is None

    r.write("plan.json", r.invoke("plan", "app", "--bake").stdout)
    r.engine.docker(
        "buildx",
        "bake",
        "--builder",
        "imagewright-tests",
        "--file",
        "plan.json",
        "--allow=fs.read=*",
        cwd=r.root,
        env=env,
    )
    (r.root / "plan.json").unlink()
    baked = {name: r.digest(r.reference(name)) for name in ("base", "app")}
    layers = {name: r.layers(r.reference(name)) for name in baked}
    outcome = r.build("app", env=env)
    # what a run knows beside the plan is which base image it found
    bases = {name: r.image(r.reference(name))["config"]["Labels"]["io.imagewright.bases"] for name in baked}
    assert "busybox" in bases["base"]
    assert bases["app"] == "{}"
    assert layers == {name: r.layers(r.reference(name)) for name in baked}
    assert baked["app"] == outcome.digests()["app"]
    assert r.image(r.reference("app"))["config"]["Labels"]["note"] == "cost $${5} ${x} %{y}"
    assert [one["name"] for one in outcome.document["images"]] == [one["name"] for one in document["images"]]
    assert [one["tags"] for one in outcome.document["images"]] == [one["tags"] for one in document["images"]]


def test_a_failure_takes_along_what_is_built_on_it_and_nothing_else(repository: Repository) -> None:
    r = repository
    r.dockerfile("top", "FROM BASE", "RUN echo top > /top")
    r.dockerfile("left", "FROM PREFIX/top", "RUN echo why it broke && exit 3")
    r.dockerfile("right", "FROM PREFIX/top", "RUN echo right > /right")
    r.dockerfile("bottom", "FROM PREFIX/left", "COPY --from=PREFIX/right /right /")
    outcome = r.build("all", code=1)
    document = outcome.document
    assert list(document) == ["schema", "ok", "seconds", "images"]
    assert (document["schema"], document["ok"]) == (1, False)
    assert {one["name"]: one["status"] for one in document["images"]} == {
        "top": "built",
        "left": "failed",
        "right": "built",
        "bottom": "skipped",
    }
    keys = ["name", "status", "reference", "digest", "platforms", "tags", "unpublished", "sizes", "growth", "why"]
    keys += ["seconds", "cached_steps", "steps", "log", "error", "because"]
    assert all(list(one) == keys for one in document["images"])
    assert outcome["right"]["digest"] == r.digest(r.reference("right"))
    assert outcome["bottom"]["because"] == "parent left failed"
    assert "Dockerfile.left:2" in outcome["left"]["error"]
    assert "why it broke" in Path(outcome["left"]["log"]).read_text()
    assert (outcome["left"]["digest"], outcome["bottom"]["digest"]) == (None, None)


def test_a_dry_run_does_nothing(repository: Repository) -> None:
    r = repository
    r.dockerfile("app", "FROM scratch", "COPY tasks.py /")
    assert json.loads(r.invoke("build", "app", "--dry-run", "--json").stdout) == json.loads(
        r.invoke("plan", "app", "--json").stdout
    )
    assert r.digest(r.reference("app")) is None


def test_people_see_a_table_and_pipes_get_references(repository: Repository) -> None:
    r = repository
    r.dockerfile("app", "FROM scratch", "COPY tasks.py /")
    done = r.invoke("build", "app")
    assert (done.returncode, done.stdout) == (0, f"{r.reference('app')}@{r.digest(r.reference('app'))}\n")
    (row,) = [line.split() for line in done.stderr.splitlines() if line.startswith("app ")]
    assert row[:2] == ["app", "built"]
    assert str(r.digest(r.reference("app"))).startswith(f"sha256:{row[2]}")
    assert r.invoke("build", "app", "--progress", "quiet").stderr == ""


def test_no_more_images_are_built_at_once_than_jobs_says(repository: Repository) -> None:
    r = repository
    for number in range(3):
        r.dockerfile(f"one{number}", "FROM BASE", f"RUN echo {r.prefix}{number} > /x")
    done = r.invoke("build", "all", "--jobs", "1", "--progress", "plain")
    assert done.returncode == 0, done.stderr
    turns = re.findall(r"^\S+ one(\d): (started|built)", done.stderr, re.MULTILINE)
    assert [word for _, word in turns] == ["started", "built"] * 3
    assert [number for number, _ in turns[::2]] == [number for number, _ in turns[1::2]]
