"""git's listing looked up by bisection, against the plain way."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from imagewright.images.records import Records, of_entries
from imagewright.tools.git import EXECUTABLE, FILE, LINK, SUBMODULE, Entry

parts = st.sampled_from(["a", "b", "a-", "a.", "a0", "ab", "é", "\udcff", "x\ny"])
paths = st.lists(parts, min_size=1, max_size=4).map("/".join)
entries = st.builds(Entry, st.sampled_from([FILE, EXECUTABLE, LINK, SUBMODULE]), st.sampled_from(["0" * 40, "f" * 40]))


def legal(found: dict[str, Entry]) -> dict[str, Entry]:
    """Nothing stands below a file."""
    return {path: one for path, one in found.items() if not any(path.startswith(f"{other}/") for other in found)}


def listing(found: dict[str, Entry]) -> bytes:
    kinds = {SUBMODULE: "commit"}
    lines = [
        (path.encode("utf-8", "surrogateescape"), f"{one.mode} {kinds.get(one.mode, 'blob')} {one.oid}\t".encode())
        for path, one in found.items()
    ]
    return b"".join(head + path + b"\0" for path, head in sorted(lines))


def check(records: Records, found: dict[str, Entry]) -> None:
    folders = {"", *(path[:at] for path in found for at, char in enumerate(path) if char == "/")}
    for path in {*found, *folders, "nowhere", "a"}:
        assert records.get(path) == found.get(path)
        assert records.has(path) == (path in found)
        assert records.is_folder(path) == (path in folders)
    for folder in {*folders, "nowhere"}:
        start = f"{folder}/" if folder else ""
        below = [path[len(start) :] for path in found if path.startswith(start)]
        expected = {name.partition("/")[0]: None if "/" in name else found[start + name] for name in below}
        assert records.children(folder) == expected
    assert records.links == {path: one for path, one in found.items() if one.mode == LINK}


@given(st.dictionaries(paths, entries, max_size=12).map(legal))
def test_what_git_lists(found: dict[str, Entry]) -> None:
    check(Records.read(listing(found)), found)
    check(of_entries(found), found)


@given(
    st.dictionaries(paths, entries, max_size=12), st.dictionaries(paths, entries | st.none(), max_size=6), st.booleans()
)
def test_changes_to_it(found: dict[str, Entry], changes: dict[str, Entry | None], many: bool) -> None:
    after = {path: one for path, one in {**found, **changes}.items() if one}
    if after != legal(after) or found != legal(found):
        return
    more: dict[str, Entry | None] = {f"more/{number}": Entry(FILE, "0" * 40) for number in range(600 * many)}
    before = Records.read(listing(found))
    check(before.changed(changes | more), after | {path: one for path, one in more.items() if one})
    check(before, found)
