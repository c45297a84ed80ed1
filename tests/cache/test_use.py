"""The lines of a bake file, as buildx reads them: CSV of `key=value`."""

from __future__ import annotations

import csv

import pytest

from imagewright.cache.scopes import Scopes
from imagewright.cache.use import Cached, Lines, lines_of, secrets_of
from imagewright.config.build_models import Cache

APP = Cached(name="app", repository="reg/me/app", parents=("base",), tags=("reg/me/app:main", "reg/me/app:latest"))
WORK = Scopes(read=("work", "main"), write="work")


def made(settings: Cache, *, image: Cached = APP, platform: str | None = None, near: Scopes = WORK) -> Lines:
    return lines_of(image, platform, settings, near, registry="reg/me", endpoint=settings.endpoint_url)


def fields(line: str) -> dict[str, str]:
    (row,) = csv.reader([line])
    return dict(field.split("=", 1) for field in row)


def s3(**more: object) -> Cache:
    return Cache.model_validate({"type": "s3", "bucket": "layers", **more})


def test_no_cache_has_no_lines() -> None:
    assert made(Cache()) == Lines((), ())


def test_s3_reads_near_scopes_of_the_image_and_its_parents_and_writes_one() -> None:
    lines = made(s3())
    assert [fields(line)["name"] for line in lines.sources] == ["app@work", "app@main", "base@work", "base@main"]
    (target,) = map(fields, lines.targets)
    assert target == {
        "type": "s3",
        "region": "us-east-1",
        "bucket": "layers",
        "name": "app@work",
        "mode": "max",
        "ignore-error": "true",
    }


def test_platforms_that_build_apart_write_apart_and_read_what_was_built_together() -> None:
    lines = made(s3(), platform="linux/arm64", image=Cached(name="app", repository="reg/me/app"))
    assert [fields(line)["name"] for line in lines.sources] == [
        "app@work@linux-arm64",
        "app@work",
        "app@main@linux-arm64",
        "app@main",
    ]
    assert [fields(line)["name"] for line in lines.targets] == ["app@work@linux-arm64"]


def test_a_store_elsewhere_has_its_address_and_the_bucket_in_the_path() -> None:
    (source, *_), _ = (lines := made(s3(endpoint_url="http://127.0.0.1:3900", prefix="team/"))).sources, lines.targets
    assert fields(source)["endpoint_url"] == "http://127.0.0.1:3900"
    assert fields(source)["use_path_style"] == "true"
    assert fields(source)["prefix"] == "team/"
    assert "use_path_style" not in fields(made(s3(endpoint_url="https://s3.example.com", path_style=False)).sources[0])


def test_a_comma_in_a_value_does_not_become_another_key() -> None:
    line = made(s3(bucket='a,prefix="b')).sources[0]
    assert fields(line)["bucket"] == 'a,prefix="b'


@pytest.mark.parametrize("kind", ["s3", "registry", "inline"])
def test_who_may_not_write_has_no_target(kind: str) -> None:
    settings = Cache.model_validate({"type": kind, "bucket": "layers"})
    assert made(settings, near=Scopes(read=("main",), write=None)).targets == ()


def test_a_cache_that_is_required_may_fail_a_build() -> None:
    assert fields(made(s3(required=True)).targets[0])["ignore-error"] == "false"


def test_a_registry_has_an_image_for_each_cache_in_a_form_that_all_take() -> None:
    lines = made(Cache(type="registry"))
    (target,) = map(fields, lines.targets)
    assert target["image-manifest"] == "true"
    assert target["oci-mediatypes"] == "true"
    assert target["ref"].startswith("reg/me/app:cache-app-work-")
    references = {fields(line)["ref"] for line in lines.sources}
    assert len(references) == 4
    assert all(reference.startswith("reg/me/app:cache-") for reference in references)


def test_members_of_a_family_in_one_repository_do_not_share_a_cache() -> None:
    one, other = (
        fields(made(Cache(type="registry"), image=Cached(name=name, repository="reg/me/python")).targets[0])["ref"]
        for name in ("python:3.13", "python:3.14")
    )
    assert one != other


def test_an_inline_cache_is_looked_for_where_the_image_will_be() -> None:
    lines = made(Cache(type="inline"))
    assert lines == Lines(
        ("type=registry,ref=reg/me/app:main", "type=registry,ref=reg/me/app:latest"), ("type=inline",)
    )


def test_secrets_are_those_of_aws_that_are_there() -> None:
    environ = {"AWS_SECRET_ACCESS_KEY": "s", "AWS_SESSION_TOKEN": "", "AWS_REGION": "r"}
    assert list(secrets_of(environ)) == ["s"]
