from __future__ import annotations

from urllib.parse import urljoin

import pytest
from hypothesis import given
from hypothesis import strategies as st
from urllib3 import HTTPHeaderDict

from imagewright.registry.answer import Address, Answer

BASE = Address("https", "r.example", None, "/v2/")


@pytest.mark.parametrize(
    ("text", "written"),
    [
        ("https://r.example", "https://r.example/"),
        ("HTTPS://R.Example:443/v2/", "https://r.example/v2/"),
        ("http://localhost:80/", "http://localhost/"),
        ("https://r.example:444/a?b=c%3D#fragment", "https://r.example:444/a?b=c%3D"),
        ("https://me:secret@r.example/v2/", "https://r.example/v2/"),
        ("http://[::1]:5000/v2/", "http://[::1]:5000/v2/"),
        ("https://r.example/a b\u00e9", "https://r.example/a%20b%C3%A9"),
        # Whoever reads a host in these is who is connected to.
        ("https://r.example\\@evil.example/", "https://r.example/%5C@evil.example/"),
        ("https://evil.example#@r.example/", "https://evil.example/"),
        ("https://r.example@evil.example/", "https://evil.example/"),
    ],
)
def test_an_address_is_read(text: str, written: str) -> None:
    assert str(Address.parse(text)) == written


@pytest.mark.parametrize(
    "text", ["", "r.example", "//r.example/", "ftp://r.example/", "file:///etc/passwd", "https://", "http://[/", "/v2/"]
)
def test_what_is_none_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match="no URL"):
        Address.parse(text)


@pytest.mark.parametrize(
    ("location", "written"),
    [
        ("/v2/me/app/manifests/sha256:ab", "https://r.example/v2/me/app/manifests/sha256:ab"),
        ("uploads/1?state=x%3D", "https://r.example/v2/uploads/1?state=x%3D"),
        ("/a/../b", "https://r.example/b"),
        ("//storage.example/x", "https://storage.example/x"),
        ("http://r.example/x", "http://r.example/x"),
    ],
)
def test_a_location_is_followed(location: str, written: str) -> None:
    assert str(BASE.join(location)) == written


@given(st.text("/.:-_~%?#\\ aZ09\u00e9", max_size=12).map(lambda rest: f"/{rest}"))
def test_the_quick_way_to_follow_one_ends_where_the_long_one_does(location: str) -> None:
    try:
        expected = Address.parse(urljoin(str(BASE), location))
    except ValueError:
        with pytest.raises(ValueError, match="no URL"):
            BASE.join(location)
    else:
        assert BASE.join(location) == expected


def test_a_query_is_added_to_and_what_was_there_stays_as_it_was_written() -> None:
    upload = BASE.join("/up/1?state=a%2Bb%3D&digest=old")
    assert upload.asking({"digest": "sha256:ab"}).target == "/up/1?state=a%2Bb%3D&digest=sha256%3Aab"
    scopes = [("scope", "repository:a:pull"), ("scope", "repository:b:pull,push")]
    assert BASE.asking(scopes).target == "/v2/?scope=repository%3Aa%3Apull&scope=repository%3Ab%3Apull%2Cpush"
    assert upload.asking({}) == upload


@pytest.mark.parametrize(
    ("headers", "following"),
    [
        (['</v2/a/tags/list?last=b&n=2>; rel="next"'], "/v2/a/tags/list?last=b&n=2"),
        (["<list?last=b>;rel=next"], "list?last=b"),
        (['<a,b;c>; title="x; rel=last, <y>"; REL="Next"'], "a,b;c"),
        (['<first>; rel="first", <next>; rel="prefetch next"; x'], "next"),
        (["<first>; rel=first", "<next>; rel=next"], "next"),
        (['<last>; rel="last"'], None),
        (["<x>; relation=next"], None),
        ([], None),
    ],
)
def test_the_next_page(headers: list[str], following: str | None) -> None:
    answer = Answer(
        method="GET", url=BASE, status_code=200, headers=HTTPHeaderDict([("Link", header) for header in headers])
    )
    assert answer.following == following
