"""The services there are, in the order in which they start."""

from __future__ import annotations

from typing import TYPE_CHECKING

from imagewright.services import buildkitd, registry, s3

if TYPE_CHECKING:
    from collections.abc import Mapping

    from imagewright.services.model import Service

SERVICES: Mapping[str, Service] = {
    service.name: service for service in (registry.SERVICE, s3.SERVICE, buildkitd.SERVICE)
}
