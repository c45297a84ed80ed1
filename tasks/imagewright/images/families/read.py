"""From the bytes of `image.yml` to its members: image -> tag -> variant, the later wins."""

from __future__ import annotations

import posixpath
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, cast

from imagewright.config.document import parse
from imagewright.config.problems import combined, listed, near
from imagewright.config.validate import validate_as
from imagewright.errors import ConfigError
from imagewright.images.families.model import Member
from imagewright.images.families.schema import Build, FamilyFile, TagEntry, Variant
from imagewright.references import is_tag

if TYPE_CHECKING:
    from imagewright.config.document import Document
    from imagewright.images.families.model import Strategy
    from imagewright.images.model import Found

Keys = tuple[str | int, ...]

_MERGED = ("versions", "variables", "build_args", "contexts", "labels")
_TEXTS = ("extends", "description", "licenses", "template", "test_template")
SETTINGS = (
    *("context", "contexts", "target", "build_args", "secret_build_args", "secrets", "platforms", "labels", "paths"),
)
"""What a family may say of the settings that every image has (`images.<name>` in config/images.yml)."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Read:
    """One `image.yml`, read; the aliases as they are written there."""

    name: str
    file: str
    members: tuple[Member, ...]
    suffixes: tuple[str, ...]
    strategy: Strategy | None
    explicit: Mapping[str, tuple[str, str]]  # alias: its tag, and where it is said
    is_base_image: bool
    problems: tuple[ConfigError, ...] = ()  # of one tag or alias: the rest is still worth checking


def read(found: Found, data: bytes | None) -> Read:
    """The file that was found, with its content; ConfigError lists all that is wrong with its keys."""
    if data is None:
        raise ConfigError("cannot be read", where=found.dockerfile)
    document = _parsed(data, found.dockerfile)
    result = validate_as(FamilyFile, document.value, lambda path: f"{found.dockerfile}:{document.line(path)}")
    problems = [*document.problems, *(result if isinstance(result, list) else ())]
    if problems or not isinstance(result, FamilyFile):
        raise combined(sorted(problems, key=lambda problem: _line_of(problem.where)))
    return _Reader(found, document, result).read()


def _parsed(data: bytes, name: str) -> Document:
    try:
        return parse(data.decode(), name)
    except UnicodeDecodeError as error:
        line = data.count(b"\n", 0, error.start) + 1
        raise ConfigError("this is not UTF-8", where=f"{name}:{line}", hint="save the file as UTF-8") from error


class _Reader:
    def __init__(self, found: Found, document: Document, file: FamilyFile) -> None:
        self._found = found
        self._document = document
        self._file = file
        self._name = file.name or found.name
        self._problems: list[ConfigError] = []
        self._members: dict[str, Member] = {}
        self._explicit: dict[str, tuple[str, str]] = {}

    def read(self) -> Read:
        file = self._file
        if file.is_base_image and (said := self._first_extends()):
            hint = "take one of the two out"
            self._problem(said, "`extends` contradicts `is_base_image: true`", hint)
        variants = self._variants()
        for number, tag in enumerate(file.tags):
            self._add(tag, ("tags", number), None, ())
            for variant, place in self._variants_of(tag, ("tags", number), variants):
                self._add(tag, ("tags", number), variant, place)
        self._read_aliases()
        return Read(
            name=self._name,
            file=self._found.dockerfile,
            members=tuple(self._members.values()),
            suffixes=tuple(dict.fromkeys(_suffix(variant) for variant, _ in variants.values())),
            strategy=cast("Strategy", file.aliases) if isinstance(file.aliases, str) else None,
            explicit=self._explicit,
            is_base_image=file.is_base_image,
            problems=tuple(self._problems),
        )

    def _where(self, path: Keys) -> str:
        return f"{self._found.dockerfile}:{self._document.line(path)}"

    def _problem(self, path: Keys, message: str, hint: str | None = None) -> None:
        self._problems.append(ConfigError(message, where=self._where(path), hint=hint))

    def _first_extends(self) -> Keys | None:
        sections = [((), self._file), *((("tags", at), tag) for at, tag in enumerate(self._file.tags))]
        sections += [(("variants", at), variant) for at, variant in enumerate(self._file.variants)]
        return next(((*path, "extends") for path, section in sections if section.extends is not None), None)

    def _variants(self) -> dict[str, tuple[Variant, Keys]]:
        known: dict[str, tuple[Variant, Keys]] = {}
        for number, variant in enumerate(self._file.variants):
            path: Keys = ("variants", number)
            if variant.name in known:
                first = self._document.line(known[variant.name][1])
                self._problem(path, f"the variant `{variant.name}` stands twice: here and in line {first}")
            elif variant.suffix is None and not is_tag(f"x-{variant.name}"):
                self._problem(path, f"`-{variant.name}` is no legal end of a tag", "give the variant a `suffix`")
            else:
                known[variant.name] = (variant, path)
        return known

    def _variants_of(
        self, tag: TagEntry, path: Keys, variants: Mapping[str, tuple[Variant, Keys]]
    ) -> Iterator[tuple[Variant, Keys]]:
        for number, name in enumerate(tag.variants if tag.variants is not None else variants):
            if name in variants:
                yield variants[name]
            else:
                hint = near(name, variants) or (f"known variants: {listed(variants)}" if variants else None)
                self._problem((*path, "variants", number), f"there is no variant `{name}`", hint)

    def _add(self, tag: TagEntry, path: Keys, variant: Variant | None, variant_path: Keys) -> None:
        suffix = _suffix(variant) if variant else ""
        full = f"{tag.name}{suffix}"
        place = (*path, "name")
        by = f" (the tag `{tag.name}` with the variant `{variant.name}`)" if variant else ""
        if not is_tag(full):
            hint = "a tag has 1 to 128 letters, digits, '_', '.' and '-', and starts with none of the last two"
            self._problem(place, f"`{full}` is no legal tag{by}", hint)
        elif full in self._members:
            first = self._members[full].where.rpartition(":")[2]
            self._problem(place, f"the tag `{full}`{by} stands twice: here and in line {first}")
        else:
            levels: list[tuple[Keys, Build]] = [((), self._file), (path, tag)]
            levels += [(variant_path, variant)] if variant else []
            self._members[full] = self._member(full, tag.name, variant, levels)

    def _member(self, full: str, version: str, variant: Variant | None, levels: Sequence[tuple[Keys, Build]]) -> Member:
        given: dict[str, Any] = {}
        places: dict[str, Keys] = {}
        for path, level in levels:
            for key in level.model_fields_set & Build.model_fields.keys():
                value = getattr(level, key)
                given[key] = {**given.get(key, {}), **value} if key in _MERGED else value
                places[key] = (*path, key)
        for name in given.get("versions", {}).keys() & given.get("variables", {}).keys():
            hint = "templates call both by their names: rename one"
            self._problem((*places["variables"], name), f"`{name}` is among `versions` and `variables`", hint)
        at = levels[1][0]
        template = next((places[key] for key in ("template", "test_template") if key in places), at)
        texts = {key: given.get(key) for key in _TEXTS}
        return Member(
            family=self._name,
            tag=full,
            version=version,
            variant=variant.name if variant else None,
            suffix=_suffix(variant) if variant else "",
            where=self._where((*at, "name")),
            versions=given.get("versions", {}),
            variables=given.get("variables", {}),
            template_where=self._where(template),
            extends_where=self._where(places.get("extends", at)),
            build={key: given[key] for key in SETTINGS if key in given},
            **texts,
        )

    def _read_aliases(self) -> None:
        file = self._file
        suffixes = {_suffix(variant) for variant in file.variants}
        for number, tag in enumerate(file.tags):
            for at, alias in enumerate(tag.aliases):
                self._alias(alias, tag.name, ("tags", number, "aliases", at), suffixes)
        for alias, name in file.aliases.items() if isinstance(file.aliases, dict) else ():
            if name in self._members:
                self._alias(alias, name, ("aliases", alias), suffixes)
            else:
                hint = near(name, self._members) or "an alias is for a tag of this file"
                self._problem(("aliases", alias), f"the alias `{alias}` is for `{name}`, which is no tag here", hint)

    def _alias(self, alias: str, tag: str, path: Keys, suffixes: set[str]) -> None:
        """An alias that is written down; a variant of the tag has it with its suffix."""
        if not is_tag(alias):
            self._problem(path, f"the alias `{alias}` is no legal tag")
            return
        for suffix in ("", *sorted(suffixes)):
            full, target = f"{alias}{suffix}", f"{tag}{suffix}"
            if target not in self._members:
                continue
            if full in self._members:
                where = self._members[full].where.rpartition(":")[2]
                self._problem(path, f"the alias `{full}` of `{target}` is a tag of its own (line {where})")
            elif full in self._explicit and self._explicit[full][0] != target:
                other = self._explicit[full]
                line = other[1].rpartition(":")[2]
                self._problem(path, f"the alias `{full}` is for `{target}`, and for `{other[0]}` in line {line}")
            else:
                self._explicit[full] = (target, self._where(path))


def _suffix(variant: Variant) -> str:
    return variant.suffix if variant.suffix is not None else f"-{variant.name}"


def _line_of(where: str | None) -> int:
    number = (where or "").rpartition(":")[2]
    return int(number) if number.isdecimal() else 0


def folder_of(file: str) -> str:
    """The family's folder; "" is the repository root."""
    return posixpath.dirname(file)
