"""The generated files are current, and say what the loader does."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import pytest

from imagewright.config.environment import RESERVED, variables
from imagewright.config.keys import keys
from imagewright.config.load import load
from imagewright.config.models import Settings
from imagewright.config.remembered import DEFAULTS, defaults
from imagewright.config.schema import EXAMPLE_FILE, SCHEMA_FILE, main, reference, schema

DOCS = Path(__file__).parents[2] / "docs/configuration.md"
RENEW = "run `python -m imagewright.config.schema --write`"


def test_the_committed_files_are_current() -> None:
    assert json.loads(SCHEMA_FILE.read_text(encoding="utf-8")) == schema(), RENEW
    assert DOCS.read_text(encoding="utf-8") == reference(), RENEW
    assert DEFAULTS.read_text(encoding="utf-8") == defaults(), RENEW


def test_the_schema_is_printed(capsys: pytest.CaptureFixture[str]) -> None:
    main([])
    assert json.loads(capsys.readouterr().out) == schema()


def test_the_example_loads_and_shows_every_section(tmp_path: Path) -> None:
    (tmp_path / "config").mkdir()
    text = EXAMPLE_FILE.read_text(encoding="utf-8")
    (tmp_path / "config/images.yml").write_text(text, encoding="utf-8")
    settings = load(tmp_path, {})
    assert settings.model_fields_set == set(Settings.model_fields)
    assert settings.images["snapcast"].build_args["DEBUG"] == "no"
    assert text in reference()


def test_every_key_and_variable_is_described() -> None:
    page = reference()
    for key in keys(Settings):
        assert key.description, f"{key.label} has no description"
        assert key.description in page
    for name in [*variables(), *RESERVED]:
        assert f"`{name}`" in page


def test_the_tables_are_whole() -> None:
    rows = [line for line in reference().splitlines() if line.startswith("|")]
    assert {len(re.findall(r"(?<!\\)\|", row)) for row in rows} == {3, 5}


def test_the_schema_is_closed_and_takes_texts_as_written() -> None:
    generated = schema()
    sections: list[dict[str, Any]] = [generated, *generated["$defs"].values()]
    assert all(section["additionalProperties"] is False for section in sections)
    arguments = generated["$defs"]["ImageSettings"]["properties"]["build_args"]
    assert arguments["additionalProperties"]["type"] == ["string", "number", "boolean"]
    assert generated["properties"]["platforms"]["items"]["type"] == "string"


def test_mappings_have_no_variable() -> None:
    assert "IMAGEWRIGHT_BUILDER_JOBS" in variables()
    assert not any("IMAGES" in name or "LAYERS" in name for name in variables())
    assert not variables().keys() & RESERVED.keys()
