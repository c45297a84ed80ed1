"""The policy of one repository: the command line's word over the configuration's, over what is kept by default."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass
from datetime import timedelta
from fnmatch import fnmatchcase
from typing import TYPE_CHECKING, Any

from imagewright.cleanup.model import Policy, Rule, Sort
from imagewright.config.durations import parse_duration, spoken
from imagewright.errors import ConfigError

if TYPE_CHECKING:
    from pathlib import Path

    from imagewright.config.cleanup_models import Cleanup, CleanupRule
    from imagewright.config.models import Settings

USUAL = ("latest", "stable", "*-stable")
"""Tags that people pull by, protected whatever the configuration says."""

_SHARE = 0.5


@dataclass(frozen=True, slots=True, kw_only=True)
class Given:
    """What the command line says; None is nothing. All of it was checked as the configuration is."""

    keep: int | None = None  # 0 is refused in the plan without `allow_keep_zero`
    younger: timedelta | None = None
    sort: Sort | None = None
    protect: tuple[str, ...] = ()  # beside those of the configuration
    only: tuple[str, ...] = ()  # in the place of those of the configuration
    untagged: timedelta | None = None
    grace: timedelta | None = None
    max_delete: int | None = None
    max_share: float | None = None
    allow_empty: bool = False
    allow_keep_zero: bool = False


def policy_for(
    settings: Settings,
    repository: str,
    *,
    given: Given = Given(),
    default_tags: Collection[str] = ("main", "master"),
    cleanup: Cleanup | None = None,
) -> Policy:
    """The policy of `repository` ("ghcr.io/me/app"). Without any limit anywhere it has no rules, and keeps all.

    `default_tags` are the default branch's own; `cleanup` is read in the place of the settings' own section.
    """
    section = cleanup if cleanup is not None else settings.cleanup
    own = next((of for glob, of in section.repositories.items() if fnmatchcase(repository, glob)), None)

    def said(name: str) -> Any:
        value = getattr(own, name, None)
        return getattr(section, name) if value is None else value

    def first(name: str, default: Any = None) -> Any:
        values = (getattr(given, name), said(name), default)
        return next((value for value in values if value is not None), None)

    def time(name: str) -> timedelta | None:
        found = first(name)
        return parse_duration(found) if isinstance(found, str) else found

    rules = [_rule(name, rule) for name, rule in (said("rules") or {}).items()]
    keep, younger = first("keep"), time("younger")
    if keep is not None or younger is not None:
        limits = [f"keep {keep}"] if keep is not None else []
        limits += [f"younger {spoken(younger)}"] if younger is not None else []
        if given.keep is not None or given.younger is not None:
            # The command line's word is the last one about all tags, but for what is kept for ever.
            rules = [rule for rule in rules if rule.forever or "*" not in rule.tags]
        rules.append(Rule(name=", ".join(limits), keep=keep, younger=younger, sort=first("sort", "date")))
    protect = (*given.protect, *((own and own.protect) or ()), *(section.protect or ()))
    return Policy(
        rules=tuple(rules),
        protect=tuple(dict.fromkeys(protect)),
        usual=tuple(dict.fromkeys((*USUAL, *settings.tags.protected, *sorted(default_tags)))),
        only=given.only or said("only") or (),
        untagged=time("untagged"),
        grace=time("grace") or timedelta(0),
        max_delete=first("max_delete"),
        max_share=first("max_share", _SHARE),
        allow_empty=given.allow_empty,
        allow_keep_zero=given.allow_keep_zero,
    )


def policy_file(path: Path) -> Cleanup:
    """A file that has the keys of the configuration's `cleanup`; ConfigError, with the line, for any other."""
    from imagewright.config.cleanup_models import Cleanup
    from imagewright.config.document import parse
    from imagewright.config.problems import combined
    from imagewright.config.validate import validate_as

    try:
        text = path.read_text(encoding="utf-8")
    except UnicodeDecodeError as error:
        raise ConfigError("this is not UTF-8", where=str(path), hint="save the file as UTF-8") from error
    except OSError as error:
        raise ConfigError(f"cannot be read: {error.strerror}", where=str(path)) from error
    document = parse(text, str(path))
    found = validate_as(Cleanup, document.value, lambda at: f"{path}:{document.line(at)}")
    if isinstance(found, list):
        raise combined([*document.problems, *found])
    if document.problems:
        raise combined(document.problems)
    return found


def _rule(name: str, rule: CleanupRule) -> Rule:
    younger = None if rule.younger is None else parse_duration(rule.younger)
    return Rule(name=name, tags=rule.tags, keep=rule.keep, younger=younger, sort=rule.sort, forever=rule.forever)
