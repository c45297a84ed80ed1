"""Outside images compared with what was recorded."""

from __future__ import annotations

from collections.abc import Mapping

from hypothesis import given
from hypothesis import strategies as st

from imagewright.changes.bases import moved
from imagewright.changes.reason import Reason
from imagewright.images.outside import Outside

OLD, NEW = "sha256:" + "1" * 64, "sha256:" + "2" * 64
DEBIAN = "docker.io/library/debian:trixie-slim"


class Today:
    def __init__(self, digests: Mapping[str, str]) -> None:
        self.digests = digests

    def digest(self, reference: str) -> str | None:
        return self.digests.get(reference)

    def problem(self, reference: str) -> str:
        return f"nobody knows {reference}"


def reasons(use: Outside, recorded: Mapping[str, str], today: Mapping[str, str]) -> tuple[Reason, ...]:
    return moved(use, recorded, Today(today), dockerfile="Dockerfile")


def test_the_same_digest_is_no_reason() -> None:
    use = Outside(used={DEBIAN: 3})
    assert reasons(use, {DEBIAN: OLD, "docker.io/library/gone:1": NEW}, {DEBIAN: OLD}) == ()


def test_another_digest_names_the_image_both_digests_and_the_line() -> None:
    (reason,) = reasons(Outside(used={DEBIAN: 3}), {DEBIAN: OLD}, {DEBIAN: NEW})
    assert reason == Reason(
        kind="base",
        detail="debian:trixie-slim is now sha256:222222222222…, it was built on sha256:111111111111… (Dockerfile:3)",
        line=3,
    )


def test_what_was_not_recorded_or_is_not_to_be_had_is_unknown() -> None:
    (reason,) = reasons(Outside(used={DEBIAN: 3}), {}, {DEBIAN: NEW})
    assert (reason.kind, reason.line) == ("unknown", 3)
    assert reason.detail == "the published image does not say which debian:trixie-slim it was built on (Dockerfile:3)"
    (reason,) = reasons(Outside(used={DEBIAN: 0}), {DEBIAN: OLD}, {})
    assert reason == Reason(
        kind="unknown", detail=f"today's digest of debian:trixie-slim is not to be had: nobody knows {DEBIAN}"
    )
    (reason,) = reasons(Outside(unclear={1: "the front end may use any image"}), {}, {})
    assert reason == Reason(kind="unknown", detail="the front end may use any image (Dockerfile:1)", line=1)


_NAMES = st.sampled_from([f"docker.io/library/{letter}:1" for letter in "abcd"])
_DIGESTS = st.dictionaries(_NAMES, st.sampled_from([OLD, NEW]))


@given(st.dictionaries(_NAMES, st.integers(0, 9)), st.dictionaries(st.integers(1, 9), st.just("x")), _DIGESTS, _DIGESTS)
def test_unchanged_only_where_every_digest_is_known_and_the_same(
    used: Mapping[str, int], unclear: Mapping[int, str], recorded: Mapping[str, str], today: Mapping[str, str]
) -> None:
    found = reasons(Outside(used=used, unclear=unclear), recorded, today)
    same = all(name in recorded and recorded[name] == today.get(name) for name in used)
    assert (not found) == (same and not unclear)
    assert len(found) == len(unclear) + sum(not (n in recorded and recorded[n] == today.get(n)) for n in used)
    assert {reason.kind for reason in found} <= {"base", "unknown"}
