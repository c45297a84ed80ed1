"""The CNCF distribution registry, on loopback, with a password."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

from imagewright.services import probes
from imagewright.services.model import Container, Launch, Provided, Secrets, Service

if TYPE_CHECKING:
    from collections.abc import Mapping

    from imagewright.services.places import Places

_NAME = "registry"
_API_HEADER = "docker-distribution-api-version"
_OPEN, _LOCKED = 200, 401
ENV = {
    # Version 3 traces to an OpenTelemetry collector on localhost unless told otherwise.
    "OTEL_TRACES_EXPORTER": "none",
    # It reads each blob, however small, through a buffer of 4 MiB (registry/storage/filereader.go): with Go's default
    # of 100 it collects garbage after every second request, which is half of its work. Peak: 200 MB instead of 85.
    "GOGC": "400",
}


def _config(data: str, htpasswd: str, address: str) -> str:
    config: dict[str, Any] = {
        "version": "0.1",
        "log": {"level": "error", "accesslog": {"disabled": True}},
        "storage": {"filesystem": {"rootdirectory": data}, "delete": {"enabled": True}},
        "http": {"addr": address},
        "auth": {"htpasswd": {"realm": "imagewright", "path": htpasswd}},
        # An index may name platforms that are pushed later, or never.
        "validation": {"manifests": {"indexes": {"platforms": "none"}}},
    }
    return json.dumps(config, indent=1)  # JSON is YAML


def _htpasswd(secrets: Secrets) -> str:
    import bcrypt

    # The registry checks the password at each request. It is random and long, so that the least work factor is safe
    # (1 ms instead of 60 ms a request).
    return f"{secrets.user}:{bcrypt.hashpw(secrets.password.encode(), bcrypt.gensalt(rounds=4)).decode()}\n"


def _prepare(places: Places, programs: Mapping[str, Provided], secrets: Secrets) -> Launch:
    folder = places.service(_NAME)
    host = places.registry_host
    address = f"{f'[{host}]' if ':' in host else host}:{places.registry_port}"
    return Launch(
        argv=(str(programs[_NAME].path), "serve", str(folder / "config.yml")),
        env=ENV,
        files={
            "config.yml": _config(str(folder / "data"), str(folder / "htpasswd"), address),
            "htpasswd": _htpasswd(secrets),
        },
        folders=("data",),
    )


def _container(_places: Places, secrets: Secrets) -> Container:
    return Container(
        image="registry:3",
        args=("serve", "/etc/distribution/config.yml"),
        port=5000,
        mounts={"config.yml": "/etc/distribution/config.yml", "htpasswd": "/etc/htpasswd", "data": "/data"},
        env=ENV,
        files={"config.yml": _config("/data", "/etc/htpasswd", ":5000"), "htpasswd": _htpasswd(secrets)},
        folders=("data",),
    )


def _status(places: Places) -> int | None:
    """What a registry answers (distribution-spec, end-1); None where there is none."""
    answer = probes.http(places.registry_host, places.registry_port, "/v2/")
    return answer.status if answer and _API_HEADER in answer.headers else None


def _answers(places: Places) -> bool:
    return _status(places) in (_OPEN, _LOCKED)


SERVICE = Service(
    name=_NAME,
    program=_NAME,
    address=lambda places: places.registry,
    port=lambda places: (places.registry_host, places.registry_port),
    answers=_answers,
    foreign=lambda places, _environ: places.registry if _answers(places) else None,
    prepare=_prepare,
    container=_container,
    secrets="password",
    bound_to=lambda places: places.registry,
    login=lambda places: places.registry,
    locked=lambda places: _status(places) == _LOCKED,
)
