"""Services that somebody else started: used where they can be, and never stopped."""

from __future__ import annotations

from typing import TYPE_CHECKING

from imagewright.errors import EnvironmentMissingError
from imagewright.services import credentials, probes
from imagewright.services.model import Running

if TYPE_CHECKING:
    from collections.abc import Mapping

    from imagewright.services.model import Service
    from imagewright.services.places import Places


def adopt(service: Service, places: Places, environ: Mapping[str, str]) -> Running | None:
    """A healthy one that others started; EnvironmentMissingError where docker cannot use it, or the port is taken."""
    if address := service.foreign(places, environ):
        if service.login and service.locked and service.locked(places):
            host = service.login(places)
            if not credentials.logged_in(host, environ):
                raise EnvironmentMissingError(
                    f"a {service.name} that wants a password runs already at {address}, and docker has none for it",
                    hint=f"`invoke login {host}`, or configure another port (`registry: localhost:PORT`)",
                )
        return Running(name=service.name, address=address, pid=None, how="running already", version="unknown")
    port = service.port(places)
    if port and probes.listening(*port):
        who = probes.holder(port[1]) or "another user's process"
        raise EnvironmentMissingError(
            f"{service.name} cannot listen on {port[0]}:{port[1]}: the port is taken by {who}",
            hint="end that, or configure another port (`registry: localhost:PORT`, `services.s3_port`)",
        )
    return None
