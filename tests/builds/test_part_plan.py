"""What one of several machines builds of a plan."""

from __future__ import annotations

from imagewright.builds.part_plan import narrowed
from imagewright.builds.plan import Plan
from tests.builds.test_plan_and_bake import image, plan

BOTH = ("linux/amd64", "linux/arm64")


def shown(made: Plan) -> dict[str, tuple[str, tuple[str, ...]]]:
    return {item.name: (item.action, item.platforms) for item in made.images}


def test_each_image_is_built_for_the_platforms_of_this_machine() -> None:
    whole = plan("app", base=image("base", platforms=BOTH), tooling=image("tooling", platforms=BOTH))
    made = narrowed(whole, ["linux/amd64"])
    assert shown(made) == dict.fromkeys(("base", "tooling", "app"), ("build", ("linux/amd64",)))
    assert [item.image for item in made.images] == [item.image for item in whole.images]


def test_what_is_not_for_this_machine_is_skipped_with_the_reason() -> None:
    made = narrowed(plan("app", "other", other=image("other", platforms=BOTH)), ["linux/arm64"])
    assert shown(made)["other"] == ("build", ("linux/arm64",))
    (app,) = (item for item in made.images if item.name == "app")
    assert app.action == "skip"
    assert app.reasons[0].detail == "it is built for linux/amd64, and not for linux/arm64"
    assert app.tags == ()


def test_what_is_built_here_has_its_parents_even_for_another_platform() -> None:
    made = narrowed(plan("app", app=image("app", platforms=BOTH)), ["linux/arm64"])
    assert shown(made) == {
        "base": ("build", ("linux/amd64",)),
        "tooling": ("build", ("linux/amd64",)),
        "app": ("build", ("linux/arm64",)),
    }
