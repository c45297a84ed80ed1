from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path

import pytest

from imagewright.cleanup.inuse.files import texts
from imagewright.cleanup.inuse.scan import scan
from imagewright.cleanup.model import Picture, Stored
from imagewright.errors import ConfigError

APP, WEB = "ghcr.io/me/app", "ghcr.io/me/web"
NOW = datetime(2025, 1, 1, tzinfo=UTC)


def digest(number: int) -> str:
    return f"sha256:{number:064x}"


def picture(*tags: str, repository: str = APP) -> Picture:
    of = {tag: digest(number) for number, tag in enumerate(tags, 1)}
    manifests = {
        one: Stored(digest=one, media_type="application/vnd.oci.image.manifest.v1+json", kind="image", size=1)
        for one in of.values()
    }
    return Picture(repository=repository, taken=NOW, tags=of, manifests=manifests)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return tmp_path / "deploy"


def write(folder: Path, **files: str) -> None:
    for name, text in files.items():
        path = folder / name.replace("__", "/").replace("_DOT_", ".")
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)


def used(folder: Path, *tags: str, repository: str = APP) -> set[str]:
    uses = scan([folder], [APP, WEB]).uses(picture(*tags, repository=repository))
    return {one.reference.removeprefix(f"{repository}:").removeprefix(f"{repository}@") for one in uses}


TAGS = ("1.1", "1.2", "1.3", "latest", "base-1", "base-2")


def test_kubernetes(folder: Path) -> None:
    write(
        folder,
        app_DOT_yaml="kind: Deployment\nspec:\n  containers:\n  - image: ghcr.io/me/app:1.2\n---\n"
        f"kind: CronJob\nspec:\n  initContainers:\n  - image: ghcr.io/me/app@{digest(3)}\n",
    )
    assert used(folder, *TAGS) == {"1.2", digest(3)}
    assert used(folder, *TAGS, repository=WEB) == {digest(3)}, "a digest is one everywhere"


def test_where_it_stands_is_said(folder: Path) -> None:
    write(folder, app_DOT_yaml="a: b\nimage: ghcr.io/me/app:1.2\n")
    (use,) = scan([folder], [APP]).uses(picture(*TAGS))
    assert use.where == f"{folder}/app.yaml:2"


@pytest.mark.parametrize(
    "image",
    [
        "- name: ghcr.io/me/app\n  newTag: '1.2'",
        "- newTag: 1.2\n  name: app\n  newName: ghcr.io/me/app",
        f"- name: ghcr.io/me/app\n  digest: {digest(2)}",
        f"- {{name: app, newName: ghcr.io/me/app, digest: '{digest(2)}'}}",
    ],
)
def test_kustomize(folder: Path, image: str) -> None:
    write(folder, base__kustomization_DOT_yaml=f"images:\n{image}\n")
    assert used(folder, *TAGS) - {"latest"} in ({"1.2"}, {digest(2)})


def test_kustomize_gives_another_name_and_the_manifest_has_the_tag(folder: Path) -> None:
    write(
        folder,
        kustomization_DOT_yaml="images:\n- name: app\n  newName: ghcr.io/me/app\n",
        app_DOT_yaml="image: app:1.2 # tag: 1.2\n",
    )
    assert "1.2" in used(folder, *TAGS)


def test_helm_values(folder: Path) -> None:
    write(
        folder,
        chart__Chart_DOT_yaml="name: app\n",
        chart__templates__app_DOT_yaml='image: "{{ .Values.image.repository }}:{{ .Values.image.tag }}"\n',
        chart__values_DOT_yaml='image:\n  repository: ghcr.io/me/app\n  tag: ""\n',
        production__values_DOT_yaml="image:\n  tag: 1.2\n",
    )
    assert used(folder, *TAGS) == {"1.2", "latest"}


def test_helm_values_with_the_registry_apart(folder: Path) -> None:
    write(
        folder, values_DOT_yaml="image:\n  registry: ghcr.io\n  repository: me/app\n  tag: 1.2\nx: ghcr.io/me/app:1.1\n"
    )
    assert {"1.1", "1.2"} <= used(folder, *TAGS)


def test_compose_with_variables(folder: Path) -> None:
    write(
        folder,
        one__compose_DOT_yml="services:\n  app:\n    image: ghcr.io/me/app:${TAG}\n",
        one___DOT_env="TAG=1.2\n",
    )
    assert used(folder, *TAGS) == {"1.2"}
    write(folder, two__compose_DOT_yml="services:\n  app:\n    image: ghcr.io/me/app:base-${TAG:-1}\n")
    assert used(folder, *TAGS) == {"1.2", "base-1", "base-2"}


def test_a_variable_tag_that_is_not_known_keeps_all(folder: Path) -> None:
    write(folder, ci_DOT_yml="image: ghcr.io/me/app:$CI_COMMIT_SHA\n")
    uses = scan([folder], [APP]).uses(picture(*TAGS))
    assert {one.reference for one in uses} == {f"{APP}:{tag}" for tag in TAGS}
    assert all("has a variable in it" in one.where for one in uses)


def test_a_placeholder_for_a_tag(folder: Path) -> None:
    write(folder, app_DOT_yaml="image: ghcr.io/me/app:REPLACED\n", deploy_DOT_sh="sed s/REPLACED/1.2/\nIMAGE_TAG=1.3\n")
    assert used(folder, *TAGS) == {"latest", "1.3"}


def test_terraform(folder: Path) -> None:
    write(folder, main_DOT_tf='image = "ghcr.io/me/app"\nrelease = "1.2"\n')
    assert used(folder, *TAGS) == {"latest", "1.2"}


def test_windows_writes_utf_16(folder: Path) -> None:
    folder.mkdir()
    (folder / "app.yaml").write_bytes("image: ghcr.io/me/app:1.2\n".encode("utf-16"))
    assert used(folder, *TAGS) == {"1.2"}


def test_a_binary_file_has_no_text(folder: Path) -> None:
    write(folder, app_DOT_yaml="image: ghcr.io/me/app:1.2\n")
    (folder / "program").write_bytes(b"\x7fELF\0\0 ghcr.io/me/app:1.1 \0")
    assert used(folder, *TAGS) == {"1.2"}


def test_links_are_followed_once(folder: Path, tmp_path: Path) -> None:
    write(tmp_path / "elsewhere", app_DOT_yaml="image: ghcr.io/me/app:1.2\n")
    folder.mkdir()
    (folder / "linked").symlink_to(tmp_path / "elsewhere")
    (folder / "round").symlink_to(folder)
    (folder / "nowhere").symlink_to(folder / "gone")
    assert used(folder, *TAGS) == {"1.2"}
    assert len(list(texts(folder))) == 1


def test_git_s_own_store_is_left_out(folder: Path) -> None:
    write(folder, app_DOT_yaml="image: ghcr.io/me/app:1.2\n")
    write(folder / ".git", packed="ghcr.io/me/app:1.1")
    assert used(folder, *TAGS) == {"1.2"}


class TestWhatFails:
    def test_a_path_that_is_not_there(self, folder: Path) -> None:
        with pytest.raises(ConfigError, match="this is not there"):
            scan([folder], [APP])

    def test_a_file_that_cannot_be_read(self, folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        write(folder, app_DOT_yaml="image: ghcr.io/me/app:1.2\n", broken_DOT_yaml="")
        read = Path.read_bytes

        def denied(path: Path) -> bytes:
            if path.name == "broken.yaml":
                raise PermissionError(13, "Permission denied", str(path))
            return read(path)

        monkeypatch.setattr(Path, "read_bytes", denied)  # the tests may run as root, whom nothing is denied
        with pytest.raises(ConfigError, match=r"broken\.yaml: cannot be read: Permission denied"):
            scan([folder], [APP])

    @pytest.mark.parametrize("text", ["", "image: ghcr.io/you/app:1\n"])
    def test_a_folder_without_what_was_expected(self, folder: Path, text: str) -> None:
        write(folder, app_DOT_yaml=text)
        with pytest.raises(ConfigError, match="this names none of the repositories"):
            scan([folder], [APP])

    def test_one_folder_of_two(self, folder: Path, tmp_path: Path) -> None:
        write(folder, app_DOT_yaml="image: ghcr.io/me/app:1.2\n")
        (tmp_path / "empty").mkdir()
        with pytest.raises(ConfigError, match="empty: this names none"):
            scan([folder, tmp_path / "empty"], [APP])

    def test_an_image_that_cannot_be_told(self, folder: Path) -> None:
        write(folder, app_DOT_yaml="image: ghcr.io/me/app:1.2\n", ci_DOT_yaml="a: b\nimage: $IMAGE\n")
        with pytest.raises(ConfigError, match=r"ci\.yaml:2: `\$IMAGE` is in use, and which image that is"):
            scan([folder], [APP])

    def test_a_binary_file_that_was_named(self, folder: Path) -> None:
        folder.mkdir()
        (folder / "program").write_bytes(b"\0")
        with pytest.raises(ConfigError, match="no text file"):
            scan([folder / "program"], [APP])


def test_nothing_to_scan() -> None:
    assert scan([], [APP]).uses(picture(*TAGS)) == ()


def test_a_digest_that_no_tag_leads_to(folder: Path) -> None:
    write(
        folder,
        a_DOT_yaml=f"image: ghcr.io/me/app:1.2@{digest(9)}\n",
        kustomization_DOT_yaml=f"images:\n- name: ghcr.io/me/app\n  digest: {digest(8)}\n",
        lock_DOT_txt=f"something --hash={digest(7)}\n",
    )
    found = scan([folder], [APP, WEB])
    assert {use.reference: use.where for use in found.pinned(APP)} == {
        f"{APP}@{digest(9)}": f"{folder}/a.yaml:1",
        f"{APP}@{digest(8)}": f"{folder}/kustomization.yaml:3",
    }
    assert found.pinned(WEB) == ()


def test_what_is_in_use_under_the_name_of_another_registry(folder: Path) -> None:
    write(folder, app_DOT_yaml=f"image: ghcr.io/me/app:1.2\nother: x@{digest(3)}\n")
    copy = "backup.example/app"
    uses = scan([folder], [APP, copy]).uses_as(picture("1.1", "1.2", "1.3", repository=copy), APP)
    assert {use.reference for use in uses} == {f"{copy}:1.2", digest(3)}
