"""Lists that come in pages: the answers along a registry's links, without being led in circles or elsewhere."""

from __future__ import annotations

from typing import TYPE_CHECKING

from imagewright.errors import RegistryError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from imagewright.registry.answer import Answer

_MOST_PAGES = 10_000


def pages(ask: Callable[[str], Answer], path: str, what: str, where: str) -> Iterator[Answer]:
    """The answers along a list's links (RFC 8288), each address once; `ask` sends a GET.

    RegistryError where they lead in a circle or to another host. `what` and `where` are for that message.
    """
    seen = set[str]()
    while path not in seen and len(seen) < _MOST_PAGES:
        seen.add(path)
        response = ask(path)
        yield response
        following = response.following
        if not following:
            return
        path = followed(response, following, what, where)
    raise circle(what, where)


def circle(what: str, where: str) -> RegistryError:
    """The pages repeat themselves."""
    return RegistryError(f"the registry's {what} goes in a circle", where=where)


def tags_of(response: Answer, where: str) -> list[str]:
    """One page of a list of tags (OCI distribution spec, "Listing Tags")."""
    try:
        tags = response.json()["tags"] or []  # distribution 2 says null for none
    except (KeyError, TypeError, ValueError):
        tags = None
    if not isinstance(tags, list) or not all(isinstance(tag, str) for tag in tags):
        raise RegistryError("the registry's list of tags is malformed", where=where)
    return tags


def followed(response: Answer, link: str, what: str, where: str) -> str:
    try:
        following = response.url.join(link)
    except ValueError:
        raise RegistryError(f"the registry's {what} goes on at no address", where=where) from None
    # A proxy that forgets the scheme is common, another host never right: it would get our credentials.
    if following.host != response.url.host or following.port not in (None, response.url.port):
        raise RegistryError(f"the registry's {what} goes on at another host, {following.host}", where=where)
    return following.target
