"""References in any spelling."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from imagewright.references import InvalidReferenceError, Reference

DIGEST = "sha256:" + "a" * 64


@pytest.mark.parametrize(
    ("text", "repository", "tag", "digest"),
    [
        ("debian", "docker.io/library/debian", None, None),
        ("debian:trixie-slim", "docker.io/library/debian", "trixie-slim", None),
        ("docker.io/debian", "docker.io/library/debian", None, None),
        ("index.docker.io/library/debian", "docker.io/library/debian", None, None),
        ("me/app:1", "docker.io/me/app", "1", None),
        ("localhost/app", "localhost/app", None, None),
        ("localhost:5050/app:dev", "localhost:5050/app", "dev", None),
        ("[::1]:5050/app", "[::1]:5050/app", None, None),
        (f"ghcr.io/me/app:1@{DIGEST}", "ghcr.io/me/app", "1", DIGEST),
    ],
)
def test_every_spelling_has_one_normal_form(text: str, repository: str, tag: str | None, digest: str | None) -> None:
    reference = Reference.parse(text)
    assert (reference.repository, reference.tag, reference.digest) == (repository, tag, digest)
    assert Reference.parse(str(reference)) == reference
    assert Reference.parse(reference.familiar_repository).repository == repository


@pytest.mark.parametrize(
    "text", ["", "Debian", "a//b", "a:", "a:b:c", "a@sha256:1", "-a", "a b", "a/", "a@", 256 * "x"]
)
def test_what_docker_refuses_is_refused(text: str) -> None:
    with pytest.raises(InvalidReferenceError):
        Reference.parse(text)


@given(st.text(max_size=40))
def test_any_text_is_a_reference_or_says_why_not(text: str) -> None:
    try:
        reference = Reference.parse(text)
    except InvalidReferenceError:
        return
    assert Reference.parse(str(reference)) == reference


@pytest.mark.parametrize(
    ("text", "expected"),
    [("localhost:5050/a", True), ("127.0.0.1/a", True), ("[::1]:5000/a", True), ("ghcr.io/a", False), ("a", False)],
)
def test_loopback(text: str, expected: bool) -> None:
    assert Reference.parse(text).is_loopback is expected
