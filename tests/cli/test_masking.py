"""What of a run's secrets is known before it begins, so that it can be masked."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from imagewright.cli.build_options import request
from imagewright.cli.masking import masked, require_secrets
from imagewright.errors import ConfigError, UsageError
from imagewright.images.model import BuildSecret

TOKEN = BuildSecret(id="token", kind="env", source="TOKEN")


def plan(*secrets: BuildSecret) -> Any:
    image = SimpleNamespace(secrets=secrets, secret_build_args=())
    return SimpleNamespace(to_build=[SimpleNamespace(name="app", image=image)])


def found(root: Path, *sources: str) -> tuple[str, ...]:
    secrets = [BuildSecret(id=source, kind="src", source=source) for source in sources]
    project: Any = SimpleNamespace(environ={"TOKEN": "t0ken"}, root=root)
    return tuple(value for value in masked(project, plan(TOKEN, *secrets), request(), None) if value)


def test_values_of_variables_and_contents_of_small_files(tmp_path: Path) -> None:
    (tmp_path / "small").write_text("s" * 8192)
    (tmp_path / "large").write_text("l" * 8193)
    assert found(tmp_path, "small", "large", "small", "gone", ".") == ("t0ken", "s" * 8192)


def test_a_secret_that_cannot_be_read_is_an_error_of_the_configuration(tmp_path: Path) -> None:
    (tmp_path / "unreadable").symlink_to("/proc/self/mem")  # also root cannot read from its beginning
    with pytest.raises(ConfigError, match=r"^app: the file of a secret cannot be read: unreadable \(.+\)\n  .*leave"):
        found(tmp_path, "unreadable")


def test_a_secret_of_the_environment_must_be_there() -> None:
    require_secrets(plan(TOKEN), request(), {"TOKEN": ""})
    with pytest.raises(UsageError, match="the secret of app TOKEN has no value"):
        require_secrets(plan(TOKEN), request(), {})
