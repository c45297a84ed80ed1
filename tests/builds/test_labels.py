"""Where the source is found, told from a remote."""

from __future__ import annotations

import pytest

from imagewright.builds.labels import web_address


@pytest.mark.parametrize(
    ("remote", "address"),
    [
        ("git@github.com:me/images.git", "https://github.com/me/images"),
        ("ssh://git@github.com/me/images.git", "https://github.com/me/images"),
        ("ssh://git@git.example.org:2222/me/images", "https://git.example.org/me/images"),
        ("https://github.com/me/images.git", "https://github.com/me/images"),
        ("https://git.example.org:8443/me/images.git", "https://git.example.org:8443/me/images"),
        ("http://gitea.lan:3000/me/images", "http://gitea.lan:3000/me/images"),
        ("https://github.com/me/images/", "https://github.com/me/images"),
        ("/srv/git/images.git", "/srv/git/images.git"),
        ("../images", "../images"),
        ("file:///srv/git/images.git", "file:///srv/git/images.git"),
    ],
)
def test_the_address_is_one_that_a_browser_opens(remote: str, address: str) -> None:
    assert web_address(remote) == address
