from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from imagewright.config.models import Settings
from imagewright.errors import ConfigError
from imagewright.images.catalog import catalog
from imagewright.images.model import BuildSecret, Found
from tests.counting import calls_each

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from imagewright.images.model import Image


def images_of(names: Sequence[str], **settings: Any) -> dict[str, Image]:
    return resolved(names, Settings.model_validate(settings))


def resolved(names: Sequence[str], settings: Settings) -> dict[str, Image]:
    found = [
        Found(name=name, dockerfile=f"images/{name}/Dockerfile", context=f"images/{name}", pattern="-")
        for name in names
    ]
    return {image.name: image for image in catalog(settings, found, host_platform="linux/riscv64")}


def refusal(names: Sequence[str], **settings: Any) -> str:
    with pytest.raises(ConfigError) as caught:
        images_of(names, **settings)
    assert str(caught.value.where).startswith("config/images.yml")
    return str(caught.value)


def test_the_defaults() -> None:
    image = images_of(["app"])["app"]
    assert (image.repository, image.dockerfile, image.context) == (
        "localhost:5050/app",
        "images/app/Dockerfile",
        "images/app",
    )
    assert (image.platforms, image.layer, image.title, image.version) == (("linux/riscv64",), None, "app", None)
    assert (image.secrets, image.paths, dict(image.build_args)) == ((), (), {})


def test_an_images_own_settings_win() -> None:
    own = {
        "repository": "{registry}/x/{name}",
        "context": "./services//app/",
        "contexts": {"certificates": "docker/certificates"},
        "target": "server",
        "build_args": {"A": "1", "BASE": "{registry}/base"},
        "secret_build_args": ["KEY"],
        "secrets": [{"id": "a", "env": "A"}, {"id": "b", "src": "b.txt"}],
        "platforms": ["linux/arm64"],
        "labels": {"k": "v"},
        "title": "The app",
        "version": "1.2",
        "paths": ["shared/**"],
    }
    images = images_of(
        ["app", "base"],
        registry="ghcr.io/me",
        platforms=["linux/amd64", "linux/arm64"],
        layers={"top": {"images": ["app"], "paths": ["top.sh"]}},
        images={"app": own},
    )
    app, base = images["app"], images["base"]
    assert (app.repository, base.repository) == ("ghcr.io/me/x/app", "ghcr.io/me/base")
    assert (app.context, base.context) == ("services/app", "images/base")
    assert (app.platforms, base.platforms) == (("linux/arm64",), ("linux/amd64", "linux/arm64"))
    assert app.build_args == {"A": "1", "BASE": "ghcr.io/me/base"}
    assert (app.target, app.secret_build_args) == ("server", ("KEY",))
    assert app.secrets == (BuildSecret("a", "env", "A"), BuildSecret("b", "src", "b.txt"))
    assert (app.contexts, app.labels) == ({"certificates": "docker/certificates"}, {"k": "v"})
    assert (app.title, app.version, app.paths) == ("The app", "1.2", ("top.sh", "shared/**"))


@pytest.mark.parametrize(("context", "normal"), [(".", "."), ("./", "."), ("a/../b", "b"), ("a/", "a"), ("..a", "..a")])
def test_a_context_is_normalized(context: str, normal: str) -> None:
    assert images_of(["app"], images={"app": {"context": context}})["app"].context == normal


@pytest.mark.parametrize("context", ["/srv", "..", "a/../../b"])
def test_a_context_stays_in_the_repository(context: str) -> None:
    assert f"`{context}` lies outside" in refusal(["app"], images={"app": {"context": context}})


def test_layers_by_name_and_glob() -> None:
    layers = {"base": {"images": ["base"]}, "app": {"images": ["app-*", "web", "app-a"]}}
    images = images_of(["base", "app-a", "app-b", "web", "alone"], layers=layers)
    assert [images[name].layer for name in ("base", "app-a", "app-b", "web", "alone")] == [
        "base",
        "app",
        "app",
        "app",
        None,
    ]


def test_an_image_in_two_layers() -> None:
    message = refusal(["app"], layers={"one": {"images": ["app"]}, "two": {"images": ["a*"]}})
    assert "the image `app` is in two layers, `one` and `two` (by `a*`)" in message


def test_settings_that_match_no_image() -> None:
    message = refusal(
        ["snapcast", "app"],
        layers={"base": {"images": ["snapcst", "base-*"]}},
        images={"ap": {}, "snapcast": {}},
    )
    assert "`layers.base.images`: `snapcst` is no image\n  did you mean `snapcast`?" in message
    assert "`layers.base.images`: `base-*` matches no image" in message
    assert "`images.ap`: `ap` is no image\n  did you mean `app`?" in message


def test_a_rule_for_tags_that_is_about_nothing() -> None:
    def rules(**when: Any) -> dict[str, Any]:
        return {"rules": {"mine": {"tags": ["x"], "when": when}}}

    layers = {"base": {"images": ["app"]}}
    images_of(["app"], layers=layers, tags=rules(image=["a*", "app:1.2", "app"], layer=["b*", "base"]))
    text = refusal(["app"], layers=layers, tags=rules(image=["ap", "x*"], layer=["bsae"]))
    assert "`tags.rules.mine.when.image`: `ap` is no image" in text
    assert "`tags.rules.mine.when.image`: `x*` matches no image" in text
    assert "`tags.rules.mine.when.layer`: there is no layer `bsae`" in text
    assert "did you mean `base`?" in text


def test_two_images_may_share_a_repository() -> None:
    images = images_of(["a", "b"], repository="{registry}/all")
    assert {image.repository for image in images.values()} == {"localhost:5050/all"}


@pytest.mark.parametrize("template", ["{registry}/{name}:latest", "{registry}/UPPER/{name}", "{registry}//{name}", ""])
def test_a_repository_that_is_none(template: str) -> None:
    assert "`repository` gives" in refusal(["app"], repository=template)
    assert "`images.app.repository` gives" in refusal(["app"], images={"app": {"repository": template}})


def test_many_images_are_resolved_fast() -> None:
    layers = {f"layer-{i}": {"images": [f"image-{i}", f"image-{i}??"]} for i in range(1, 10)}

    def resolving(number: int) -> Callable[[], object]:
        names = [f"image-{i}" for i in range(1, 1000 + number)]
        settings = Settings.model_validate({"layers": layers, "images": {name: {"target": "x"} for name in names}})
        assert len(resolved(names, settings)) == len(names)
        return lambda: resolved(names, settings)

    assert calls_each(resolving) < 60  # 51
