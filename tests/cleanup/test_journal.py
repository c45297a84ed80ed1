"""The journal, as a file that a process may die over at any moment."""

from __future__ import annotations

import json
import stat
from typing import TYPE_CHECKING

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from imagewright.cleanup.journal import Entry, Journal, finish, read_journal, unfinished
from imagewright.cleanup.lease import lease
from imagewright.errors import EnvironmentMissingError, RegistryError, UsageError
from imagewright.registry.model import OCI_MANIFEST, Manifest, digest_of
from tests.cleanup.stock import NOW

if TYPE_CHECKING:
    from pathlib import Path

RAW = b'{"schemaVersion":2}'
MANIFEST = Manifest(raw=RAW, media_type=OCI_MANIFEST, digest=digest_of(RAW))


@pytest.fixture
def path(tmp_path: Path) -> Path:
    with Journal.create(tmp_path / "journals", "localhost:5050/me/app", NOW, plan="hash") as journal:
        journal.will("tag", "1.0", MANIFEST)
        journal.did("tag", "1.0", "DONE")
        journal.will("manifest", MANIFEST.digest, MANIFEST.digest, tags=("2", "3"))
    return journal.path


def test_what_is_written_is_read(path: Path) -> None:
    record = read_journal(path)
    assert (record.repository, record.plan) == ("localhost:5050/me/app", "hash")
    assert record.manifests == {MANIFEST.digest: MANIFEST}
    assert record.entries == (
        Entry(what="tag", reference="1.0", digest=MANIFEST.digest, result="DONE"),
        Entry(what="manifest", reference=MANIFEST.digest, digest=MANIFEST.digest, tags=("2", "3")),
    )


def test_its_name_and_its_rights(path: Path, tmp_path: Path) -> None:
    assert path.name == "localhost_5050__me__app-20260301T120000.jsonl"
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    with Journal.create(tmp_path / "journals", "localhost:5050/me/app", NOW) as other:
        assert other.path.name == "localhost_5050__me__app-20260301T120000-1.jsonl"


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(cut=st.integers(min_value=0, max_value=2000))
def test_cut_anywhere_it_is_shorter_or_no_journal(path: Path, tmp_path: Path, cut: int) -> None:
    whole = path.read_bytes()
    short = tmp_path / "short"
    short.write_bytes(whole[:cut])
    if cut < whole.index(b"\n") + 1:
        if cut < whole.index(b"\n"):
            with pytest.raises(UsageError):
                read_journal(short)
        return
    entries = read_journal(short).entries
    references = [one.reference for one in read_journal(path).entries]
    assert [one.reference for one in entries] == references[: len(entries)]


def test_damage_within_is_told(path: Path) -> None:
    lines = path.read_bytes().split(b"\n")
    path.write_bytes(b"\n".join([lines[0], lines[1][:50], *lines[2:]]))
    with pytest.raises(UsageError, match=":2: the journal is damaged here"):
        read_journal(path)


def test_other_bytes_than_the_digest_are_damage(path: Path) -> None:
    lines = path.read_text().split("\n")
    document = json.loads(lines[1])
    document["raw"] = "e30="
    path.write_text("\n".join([lines[0], json.dumps(document), *lines[2:]]))
    with pytest.raises(UsageError, match="damaged"):
        read_journal(path)


@pytest.mark.parametrize("text", ["", "{}\n", "[]\n", "no\n", '{"journal":2,"repository":"a","plan":""}\n'])
def test_what_is_no_journal(tmp_path: Path, text: str) -> None:
    (tmp_path / "file").write_text(text)
    with pytest.raises(UsageError):
        read_journal(tmp_path / "file")


def test_a_journal_that_is_not_there(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="cannot be read"):
        read_journal(tmp_path / "none")


def test_a_folder_that_cannot_be(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(EnvironmentMissingError, match="the journal cannot be written"):
        Journal.create(tmp_path / "file" / "folder", "r/a", NOW)
    with pytest.raises(EnvironmentMissingError, match="the lock cannot be taken"), lease(tmp_path / "file", "r/a"):
        pass


def test_one_lease_a_repository(tmp_path: Path) -> None:
    with lease(tmp_path, "r/a"), lease(tmp_path, "r/b"), pytest.raises(RegistryError), lease(tmp_path, "r/a"):
        pass
    with lease(tmp_path, "r/a"):
        pass


class TestUnfinished:
    def test_what_was_to_be_deleted_until_it_is_done(self, tmp_path: Path) -> None:
        planned = (MANIFEST.digest, "sha256:" + "1" * 64)
        with Journal.create(tmp_path, "r/app", NOW, manifests=planned) as journal:
            assert unfinished(tmp_path, "r/app") == {journal.path: frozenset(planned)}
        finish(journal.path)
        assert unfinished(tmp_path, "r/app") == {}
        assert read_journal(journal.path).planned == frozenset(planned)

    def test_of_other_repositories_and_of_none(self, tmp_path: Path) -> None:
        with (
            Journal.create(tmp_path, "r/app-two", NOW, manifests=[MANIFEST.digest]),
            Journal.create(tmp_path, "r/app", NOW),  # with nothing but tags
        ):
            assert unfinished(tmp_path, "r/app") == {}
            assert len(unfinished(tmp_path, "r/app-two")) == 1
        assert unfinished(tmp_path / "none", "r/app") == {}

    def test_a_damaged_one_is_passed_over(self, tmp_path: Path) -> None:
        with Journal.create(tmp_path, "r/app", NOW, manifests=[MANIFEST.digest, "../../x"]) as journal:
            pass
        assert unfinished(tmp_path, "r/app") == {journal.path: frozenset([MANIFEST.digest])}
        journal.path.write_bytes(journal.path.read_bytes()[:-9])
        assert unfinished(tmp_path, "r/app") == {}
