"""What fills a template, and in words where it comes from."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from imagewright.references import is_tag
from imagewright.tags.protection import is_version
from imagewright.tags.sanitise import sanitise

if TYPE_CHECKING:
    from imagewright.tags.image import Named
    from imagewright.tags.model import Occasion
    from imagewright.tags.rules import Rule
    from imagewright.tags.templates import Template

_SHORT = 7  # hexadecimal digits of a commit in a tag
_WITH_BUILD = re.compile(r"[vV]?[0-9][0-9A-Za-z._-]*\+.*")


def values(image: Named, occasion: Occasion) -> dict[str, str]:
    """The values that are there, by placeholder; the branch as git calls it, all others fit for a tag.

    `{version}` is not among them: `version` gives it for a rule.

    A fork's branch is none: its name may be that of one of ours.
    """
    event, commit = occasion.event, occasion.named_commit
    found = {
        "sha": commit,
        "sha7": commit[:_SHORT] if commit else None,
        "branch": None if event.is_fork else event.branch,
        "pr": str(event.pull_request) if event.pull_request is not None else None,
        "git_tag": sanitise(event.tag) if event.tag else None,
        "date": occasion.date,
        "layer": sanitise(image.layer) if image.layer else None,
        "name": sanitise(image.name.partition(":")[0]),
    }
    return {name: value for name, value in found.items() if value}


def version_of_git_tag(tag: str | None) -> str | None:
    """The version that a git tag names, without the leading v; None where it names none."""
    if not tag:
        return None
    bare = re.sub(r"^[vV](?=[0-9])", "", tag)
    return bare if is_version(bare) else None


def has_build_metadata(tag: str | None) -> bool:
    """Whether a git tag is a version with `+build` (semver.org, section 10), which no registry takes."""
    return tag is not None and _WITH_BUILD.fullmatch(tag) is not None and not is_tag(tag)


def why(template: Template, rule: Rule, image: Named, occasion: Occasion) -> str:
    """Where the tag comes from, for people: "the branch main, commit 0123456"."""
    event, names, said = occasion.event, template.names, list[str]()
    if "pr" in names:
        said.append(f"pull request #{event.pull_request}")
    if "version" in names:
        said.append(f"the git tag {event.tag}" if _is_of_git(image, event.tag, rule) else _whose_version(image))
    if "git_tag" in names:
        said.append(f"the git tag {event.tag}")
    if "layer" in names:
        said.append(f"the layer {image.layer}")
    if rule.default_branch and occasion.is_default_branch:
        said.append(default_branch(occasion))
    elif "branch" in names:
        said.append(f"the branch {event.branch}")
    if template.holds_commit:
        said.append(f"commit {(occasion.named_commit or '')[:_SHORT]}")
    if "date" in names:
        said.append("today, in UTC")
    if not said:
        said.append("work on this machine" if rule.is_for_work else f"event {event.kind}")
    return ", ".join(said)


def default_branch(occasion: Occasion) -> str:
    """The default branch in words, as far as it is known."""
    name = occasion.event.default_branch
    return f"the default branch, {name}" if name else "the default branch, which is not known"


def version(image: Named, git_tag: str | None, rule: Rule) -> str | None:
    """The value of `{version}`, which is one thing to one rule and another to the next."""
    if _is_of_git(image, git_tag, rule):
        return version_of_git_tag(git_tag)
    return None if rule.version_of == "git tag" else image.own_tag or image.version


def _is_of_git(image: Named, git_tag: str | None, rule: Rule) -> bool:
    # a member's version is its own: a release of the repository is none of its
    return image.own_tag is None and rule.version_of != "image" and version_of_git_tag(git_tag) is not None


def _whose_version(image: Named) -> str:
    return "its tag in its family" if image.own_tag else "its version in config/images.yml"
