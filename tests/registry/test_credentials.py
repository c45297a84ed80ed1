from __future__ import annotations

import base64
import json
import traceback
from typing import TYPE_CHECKING, Any

import pytest

from imagewright.errors import ConfigError, EnvironmentMissingError
from imagewright.registry.credentials import DOCKER_HUB_KEY, Credential, find_credential

if TYPE_CHECKING:
    from pathlib import Path

SECRET = "s3cr3t-of-mine"


def packed(user: str, password: str) -> str:
    return base64.b64encode(f"{user}:{password}".encode()).decode()


def stored(folder: Path, document: Any) -> dict[str, str]:
    (folder / "config.json").write_text(document if isinstance(document, str) else json.dumps(document))
    return {"DOCKER_CONFIG": str(folder)}


@pytest.fixture
def helper(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Any:
    """Puts a real credential helper on PATH."""
    monkeypatch.setenv("PATH", str(tmp_path / "bin"), prepend=":")

    def install(name: str, script: str) -> None:
        path = tmp_path / "bin" / f"docker-credential-{name}"
        path.parent.mkdir(exist_ok=True)
        path.write_text(f"#!/bin/sh\n{script}\n")
        path.chmod(0o755)

    return install


def test_no_file_is_no_credentials(tmp_path: Path) -> None:
    assert find_credential("ghcr.io", {"DOCKER_CONFIG": str(tmp_path / "none")}) is None


def test_the_file_is_in_the_home_folder_where_docker_config_is_not_set(tmp_path: Path) -> None:
    (tmp_path / ".docker").mkdir()
    stored(tmp_path / ".docker", {"auths": {"ghcr.io": {"auth": packed("me", SECRET)}}})
    assert find_credential("ghcr.io", {"HOME": str(tmp_path)}) == Credential(username="me", password=SECRET)


@pytest.mark.parametrize("key", ["ghcr.io", "https://ghcr.io", "https://ghcr.io/v2/", "http://ghcr.io/v1/"])
def test_every_spelling_of_a_host(tmp_path: Path, key: str) -> None:
    environ = stored(tmp_path, {"auths": {key: {"auth": packed("me", SECRET)}}})
    assert find_credential("ghcr.io", environ) == Credential(username="me", password=SECRET)
    assert find_credential("xghcr.io", environ) is None
    assert find_credential("ghcr.io:444", environ) is None


def test_the_exact_name_comes_before_another_spelling(tmp_path: Path) -> None:
    auths = {"https://ghcr.io/v1/": {"auth": packed("old", "x")}, "ghcr.io": {"auth": packed("me", SECRET)}}
    found = find_credential("ghcr.io", stored(tmp_path, {"auths": auths}))
    assert found == Credential(username="me", password=SECRET)


@pytest.mark.parametrize("host", ["docker.io", "index.docker.io", "registry-1.docker.io"])
def test_docker_hub_has_a_name_of_its_own(tmp_path: Path, host: str) -> None:
    environ = stored(tmp_path, {"auths": {DOCKER_HUB_KEY: {"auth": packed("me", SECRET)}}})
    assert find_credential(host, environ) == Credential(username="me", password=SECRET)


def test_a_password_may_have_colons_and_a_user_an_identity_token(tmp_path: Path) -> None:
    auths = {
        "a.io": {"auth": packed("me", "a:b:c")},
        "b.io": {"auth": packed("me", ""), "identitytoken": SECRET},
        "c.io": {"username": "me", "password": SECRET},
        "d.io": {},
    }
    environ = stored(tmp_path, {"auths": auths})
    assert find_credential("a.io", environ) == Credential(username="me", password="a:b:c")
    assert find_credential("b.io", environ) == Credential(username="me", identity_token=SECRET)
    assert find_credential("c.io", environ) == Credential(username="me", password=SECRET)
    assert find_credential("d.io", environ) is None


def test_a_helper_is_asked_by_name_on_standard_input(tmp_path: Path, helper: Any) -> None:
    helper("one", f'''read key; test "$key" = a.io && printf '{{"Username":"me","Secret":"{SECRET}"}}' ''')
    helper("two", f'''read key; printf '{{"Username":"<token>","Secret":"{SECRET}"}}' ''')
    document = {
        "credHelpers": {"a.io": "one"},
        "credsStore": "two",
        "auths": {"a.io": {"auth": packed("file", "x")}, "b.io": {}},
    }
    environ = stored(tmp_path, document)
    assert find_credential("a.io", environ) == Credential(username="me", password=SECRET)
    assert find_credential("b.io", environ) == Credential(identity_token=SECRET)


def test_docker_hub_is_asked_for_under_its_own_name(tmp_path: Path, helper: Any) -> None:
    helper("hub", f"""read key; test "$key" = {DOCKER_HUB_KEY} && printf '{{"Username":"me","Secret":"x"}}' """)
    assert find_credential("docker.io", stored(tmp_path, {"credsStore": "hub"})) == Credential(
        username="me", password="x"
    )


def test_a_helper_without_credentials(tmp_path: Path, helper: Any) -> None:
    helper("none", "cat >/dev/null; echo credentials not found in native keychain; exit 1")
    assert find_credential("a.io", stored(tmp_path, {"credsStore": "none"})) is None


def test_a_helper_that_is_not_installed(tmp_path: Path) -> None:
    with pytest.raises(EnvironmentMissingError, match="docker-credential-absent is not installed"):
        find_credential("a.io", stored(tmp_path, {"credsStore": "absent"}))


@pytest.mark.parametrize("end", ["exit 2", "exit 0"])
def test_a_broken_helper_shows_nothing_of_its_output(tmp_path: Path, helper: Any, end: str) -> None:
    helper("broken", f"cat >/dev/null; echo {SECRET}; echo {SECRET} >&2; {end}")
    with pytest.raises(EnvironmentMissingError, match="docker-credential-broken") as raised:
        find_credential("a.io", stored(tmp_path, {"credsStore": "broken"}))
    assert SECRET not in "".join(traceback.format_exception(raised.value))


@pytest.mark.parametrize(
    "document",
    [
        f'{{"auths": {{"a.io": {{"auth": "{SECRET}"}}',
        f'["{SECRET}"]',
        {"auths": SECRET},
        {"auths": {"a.io": SECRET}},
        {"auths": {"a.io": {"auth": SECRET}}},
        {"auths": {"a.io": {"auth": 5, "password": SECRET}}},
        {"auths": {"a.io": {"auth": base64.b64encode(SECRET.encode()).decode()}}},
        {"credHelpers": [SECRET]},
    ],
)
def test_a_malformed_file_is_named_and_not_quoted(tmp_path: Path, document: Any) -> None:
    environ = stored(tmp_path, document)
    with pytest.raises(ConfigError) as raised:
        find_credential("a.io", environ)
    assert str(tmp_path / "config.json") in str(raised.value)
    assert SECRET not in "".join(traceback.format_exception(raised.value))
    assert raised.value.__cause__ is None  # the JSON decoder's exception carries the whole file


def test_a_file_that_may_not_be_read(tmp_path: Path) -> None:
    (tmp_path / "config.json").mkdir()
    with pytest.raises(ConfigError, match="cannot be read"):
        find_credential("a.io", {"DOCKER_CONFIG": str(tmp_path)})


def test_a_credential_never_shows_its_secret() -> None:
    assert SECRET not in repr(Credential(username="me", password=SECRET, identity_token=SECRET))
