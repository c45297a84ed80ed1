"""An S3 store on a folder: versitygw, on loopback, with one bucket for the layer cache."""

from __future__ import annotations

from typing import TYPE_CHECKING

from imagewright.services import probes
from imagewright.services.model import Container, Launch, Provided, Secrets, Service

if TYPE_CHECKING:
    from collections.abc import Mapping

    from imagewright.services.places import Places

BUCKET = "layers"
_NAME = "s3"
_HOST = "127.0.0.1"
_REQUEST_HEADER = "x-amz-request-id"


def _env(secrets: Secrets) -> dict[str, str]:
    return {"ROOT_ACCESS_KEY": secrets.user, "ROOT_SECRET_KEY": secrets.password}


def _prepare(places: Places, programs: Mapping[str, Provided], secrets: Secrets) -> Launch:
    program, data = programs["versitygw"].path, places.service(_NAME) / "data"
    return Launch(
        argv=(str(program), "--port", f"{_HOST}:{places.s3_port}", "--quiet", "--keep-alive", "posix", str(data)),
        env=_env(secrets),
        folders=(f"data/{BUCKET}",),  # a bucket of the posix backend is a directory
    )


def _container(_places: Places, secrets: Secrets) -> Container:
    return Container(
        image="versity/versitygw:v1.8.0",
        args=("--port", ":7070", "--quiet", "--keep-alive", "posix", "/data"),
        port=7070,
        mounts={"data": "/data"},
        env=_env(secrets),
        folders=(f"data/{BUCKET}",),
    )


def _answers(places: Places) -> bool:
    answer = probes.http(_HOST, places.s3_port, "/")
    return answer is not None and _REQUEST_HEADER in answer.headers


def _address(places: Places) -> str:
    return f"http://{_HOST}:{places.s3_port}"


SERVICE = Service(
    name=_NAME,
    program="versitygw",
    address=_address,
    port=lambda places: (_HOST, places.s3_port),
    answers=_answers,
    foreign=lambda places, _environ: _address(places) if _answers(places) else None,
    prepare=_prepare,
    container=_container,
    secrets="s3-keys",
    bound_to=_address,
)
