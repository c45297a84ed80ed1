"""The new Dockerfile is one that the official parser takes, and keeps what it promises."""

from __future__ import annotations

import pytest

from imagewright.images.template import dockerfile

official = pytest.importorskip("dockerfile", reason="BuildKit's own parser has no wheel for this machine")


@pytest.mark.parametrize("reset_user", [False, True])
def test_it_parses_and_is_sound(reset_user: bool) -> None:
    text = dockerfile("my-app", "debian:trixie-slim", reset_user=reset_user)
    commands = official.parse_string(text)
    names = [command.cmd.upper() for command in commands]
    assert names[0] == "FROM"
    assert commands[0].value == ("debian:trixie-slim",)
    users = [command.value for command in commands if command.cmd.upper() == "USER"]
    assert users == [("root",)] * reset_user + [("10001:10001",)]
    labels = [command.value for command in commands if command.cmd.upper() == "LABEL"]
    assert [label[0] for label in labels] == ["org.opencontainers.image.description"]
    assert "rm -rf /var/lib/apt/lists/*" in text
    assert "\n\n\n" not in text
