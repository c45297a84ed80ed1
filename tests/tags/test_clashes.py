"""Two images are never called the same."""

from __future__ import annotations

from imagewright.tags.clashes import clashes
from imagewright.tags.policy import given_naming, name_image
from tests.tags.occasions import AnImage, at, local, member, push, settings

PLAIN = settings()


def found(*images: AnImage, text: str = "") -> str:
    own = settings(text)
    return str(clashes([(image, name_image(image, at(push()), own)) for image in images]) or "")


def test_images_of_their_own_repositories_never_clash() -> None:
    assert not found(AnImage(), AnImage(name="other", repository="ghcr.io/me/other"))
    assert not found(AnImage(publishes=("app-*",)), AnImage(name="other", publishes=("other-*",)))
    assert clashes([]) is None


def test_two_images_of_one_repository_are_named_with_reference_and_rule() -> None:
    assert found(AnImage(), AnImage(name="other")) == (
        "config/images.yml: the images `app` and `other` would both be ghcr.io/me/app:sha-0123456, "
        "by the rule `commit`\n"
        '  give each its own `repository` under `images`, or `publishes: ["other-*"]`'
    )


def test_each_pair_is_said_once() -> None:
    text = found(AnImage(), AnImage(name="b"), AnImage(name="c"), AnImage(name="d", repository="ghcr.io/me/d"))
    assert text.count("would both be") == 2
    assert "`app` and `b`" in text
    assert "`app` and `c`" in text


def test_one_image_twice_is_no_clash() -> None:
    assert not found(AnImage(), AnImage())


def test_an_alias_that_is_another_images_tag() -> None:
    rules = """rules: {commit: false, branch: false, latest: false, old: {tags: ["1"], when: {image: [old]}}}"""
    text = found(AnImage(version="1.2"), AnImage(name="old"), text=rules)
    assert "would both be ghcr.io/me/app:1, as an alias, by the rules `version` and `old`" in text
    assert "`aliases: none`" in text


def test_aliases_of_two_images_that_are_no_family() -> None:
    text = found(
        AnImage(version="1.2"),
        AnImage(name="old", version="1.1"),
        text="rules: {commit: false, branch: false, latest: false}",
    )
    assert "ghcr.io/me/app:1, as an alias, by the rule `version`" in text


def test_a_family_shares_its_aliases() -> None:
    assert not found(member("9.0.1", "9.0", "9"), member("9"), member("9.0.0", "9.0"))
    assert not found(member("9"), member("9.0.1", "9.0", "9"))


def test_two_members_never_share_a_tag_that_is_no_alias() -> None:
    text = found(member("9", is_latest=True), member("9.1", is_latest=True))
    assert "`python:9` and `python:9.1` would both be ghcr.io/me/python:latest" in text


def test_a_member_and_another_familys() -> None:
    other = AnImage(name="snake:9.1", repository="ghcr.io/me/python", own_tag="9.1", aliases=("9",))
    assert "ghcr.io/me/python:9, as an alias" in found(member("9"), other)
    assert "`python:9` and `snake:9.1`" in found(member("9.0.1", "9"), member("9"), other), "not the one that lost it"


def test_given_by_hand() -> None:
    both = (AnImage(), AnImage(name="other"))
    problem = clashes([(image, given_naming(image, ["x"], at(local()), PLAIN)) for image in both])
    assert problem is not None
    assert "ghcr.io/me/app:x, by the rule `given`" in problem.message
    assert problem.hint == "give each image its own: `NAME:TAG,NAME:TAG`"
