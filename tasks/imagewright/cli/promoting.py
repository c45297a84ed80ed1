"""Looks, plans, shows, does and checks what `promote`, `retag` and `mirror` ask for."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any, Self

from imagewright.cli.addresses import Address, Addresses, outside
from imagewright.cli.project import Project
from imagewright.cli.promoted import Outcome, outcome_of, show_plan, tell, to_json
from imagewright.config.problems import listed, near
from imagewright.errors import ImagewrightError, RegistryError, UsageError
from imagewright.events.local import ByHand
from imagewright.references import Reference
from imagewright.registry.client import Registry
from imagewright.registry.copy import Place
from imagewright.registry.publish import Target, publish
from imagewright.tags.promotion import (
    Purpose,
    Refusal,
    Rules,
    Source,
    Step,
    Wish,
    beneath,
    decide,
    needs_version,
    to_look_up,
)
from imagewright.tags.protection import check_given

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from imagewright.images.model import Image
    from imagewright.registry.model import Descriptor, Manifest

_SHOWN = 5  # tags of a repository in an error
_VERSION_LABEL = "org.opencontainers.image.version"


def open_project(context: Any, *, event: str | None, branch: str | None, git_tag: str | None) -> Project:
    """The project, with what the command line says about the run."""
    project = Project.open(context)
    project.by_hand = ByHand(event=event, branch=branch, git_tag=git_tag)
    return project


def within(image: str, old: str) -> str:
    """The tag or digest `old` of an image that is named without one."""
    return f"{image}@{old}" if old.startswith(("sha256:", "sha512:")) else f"{image}:{old}"


class Promotion:
    """One call. Close it, or use `with`."""

    def __init__(
        self,
        project: Project,
        purpose: Purpose,
        *,
        move: bool = False,
        allow_downgrade: bool = False,
        connect: Callable[[str], Registry] = Registry,
    ) -> None:
        self._project = project
        self._purpose: Purpose = purpose
        self._move = move
        self._allow_downgrade = allow_downgrade
        self._connect = connect
        self._registries: dict[str, Registry] = {}
        settings = project.known_settings
        self._addresses = Addresses(() if purpose == "mirror" else project.images, settings.registry)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *error: object) -> None:
        for registry in self._registries.values():
            registry.close()

    def run(self, image: str, to: str, *, referrers: bool, dry_run: bool, as_json: bool) -> None:
        """Give an image of the project, or any other, further tags."""
        source = self._addresses.source(image)
        wanted = self._addresses.targets(to, source)
        if self._purpose == "retag" and any(repository not in source.repositories for repository, _, _ in wanted):
            raise UsageError("retag stays within one repository", hint="`invoke promote` goes further")
        self._run(source, wanted, referrers=referrers, dry_run=dry_run, as_json=as_json)

    def mirror(self, text: str, to: str, *, referrers: bool, dry_run: bool, as_json: bool) -> None:
        """Copy an outside image into the own registry."""
        reference = outside(text)
        source = Address(
            repositories=(reference.repository,),
            tag=reference.tag or (None if reference.digest else "latest"),
            digest=reference.digest,
        )
        wanted = [(repository, tag, None) for repository, tag in self._addresses.mirrored(reference, to)]
        self._run(source, wanted, referrers=referrers, dry_run=dry_run, as_json=as_json)

    def _run(
        self,
        address: Address,
        wanted: Sequence[tuple[str, str, Image | None]],
        *,
        referrers: bool,
        dry_run: bool,
        as_json: bool,
    ) -> None:
        place = self._place(address.repositories[0])
        found = place.registry.resolve(place.repository, address.reference, artifacts=True)
        if found is None:
            raise self._absent(place, address)
        version = _Version(place, address, found)
        outcomes = [self._planned(version, *one) for one in wanted]
        if not as_json:
            show_plan(address.text, found.digest, outcomes)
        refused = [one for one in outcomes if one.step and one.step.action == "refused"]
        if not (dry_run or refused):
            outcomes = self._done(place, found.digest, outcomes, referrers=referrers)
            tell(self._project.say, outcomes)
        if as_json:
            print(json.dumps(to_json(address.text, found.digest, outcomes, dry_run=dry_run), indent=2))  # noqa: T201
        _raise_for(refused, outcomes, self._project.say)

    def _planned(self, version: _Version, repository: str, tag: str, image: Image | None) -> Outcome:
        reference = f"{repository}:{tag}"
        try:
            place = self._place(repository)
            rules = self._rules(image)
            now = place.registry.resolve(place.repository, tag, artifacts=True)
            published = place.registry.tags(place.repository) if needs_version(tag, rules) else None
            wish = Wish(
                repository=repository, tag=tag, now=now.digest if now else None, published=tuple(published or ())
            )
            ours = version.of(rules) if needs_version(tag, rules) and wish.now != version.digest else None
            higher = to_look_up(ours, wish, rules)
            wish = Wish(
                repository=repository,
                tag=tag,
                now=wish.now,
                published=wish.published,
                digests=_digests(place, higher),
            )
        except ImagewrightError as error:
            if repository == version.repository:
                raise
            return Outcome(reference=reference, error=error)
        return Outcome(reference=reference, step=decide(Source(digest=version.digest, version=ours), wish, rules))

    def _done(self, source: Place, digest: str, outcomes: list[Outcome], *, referrers: bool) -> list[Outcome]:
        """Does what is planned, repository by repository; a repository that fails stops no other."""
        steps: dict[str, list[Step]] = {}
        for step in (one.step for one in outcomes if one.step):
            # What is there already still gets the signatures that were made since; a mirror asks its origin little.
            if step.action != "same" or (self._purpose != "mirror" and step.wish.repository != str(source)):
                steps.setdefault(step.wish.repository, []).append(step)
        targets = [
            Target(place=self._place(repository), tags=tuple(step.wish.tag for step in planned))
            for repository, planned in steps.items()
        ]
        before = {step.wish.reference: step.wish.now for planned in steps.values() for step in planned}
        published = publish(source, digest, targets, guard=_unmoved_since(before), referrers=referrers)
        by_repository = {str(one.target.place): one for one in published}
        return [outcome_of(one, by_repository) for one in outcomes]

    def _rules(self, image: Image | None) -> Rules:
        tags = self._project.known_settings.tags
        suffixes = image.variant_suffixes if image else ()

        def withheld(tag: str) -> Refusal | None:
            try:
                check_given([tag], self._project.occasion, tags.protected, suffixes=suffixes)
            except UsageError as error:
                return Refusal(error.message, error.hint)
            return None

        return Rules(
            purpose=self._purpose,
            strategy=(image and image.alias_strategy) or tags.aliases,
            suffixes=suffixes,
            immutable=tags.immutable,
            monotonic=("latest", *tags.protected),
            move=self._move,
            allow_downgrade=self._allow_downgrade,
            withheld=withheld,
        )

    def _place(self, repository: str) -> Place:
        where = Reference.parse(repository)
        registry = self._registries.get(where.domain)
        if registry is None:
            registry = self._registries[where.domain] = self._connect(where.domain)
        return Place(registry, where.path)

    def _absent(self, place: Place, address: Address) -> RegistryError:
        tags = place.registry.tags(place.repository)
        if tags is None:
            return RegistryError("there is no such repository", where=str(place))
        known = [tag for tag in tags if not tag.startswith("sha256-")]  # those are signatures and the like
        hint = near(address.tag, known) if address.tag else None
        if hint is None and known:
            hint = f"it has {listed(known[-_SHOWN:])}{' and more' if len(known) > _SHOWN else ''}"
        return RegistryError("there is no such image", where=address.text, hint=hint)


class _Version:
    """The version of the image that gets the names: from its tag, else from its label. Asked for when it matters."""

    def __init__(self, place: Place, address: Address, found: Descriptor) -> None:
        self.repository = str(place)
        self.digest = found.digest
        self._place = place
        self._tag = address.tag
        self._known: dict[object, str | None] = {}

    def of(self, rules: Rules) -> str | None:
        """As the rules read versions; None where it has none."""
        key = (rules.strategy, rules.suffixes)
        if key not in self._known:
            self._known[key] = self._found(rules)
        return self._known[key]

    def _found(self, rules: Rules) -> str | None:
        tag = self._tag if self._tag and rules.version(self._tag) else None
        if tag:
            candidates = beneath(tag, self._place.registry.tags(self._place.repository) or (), rules)
            digests = _digests(self._place, candidates)
            return next((one for one in candidates if digests.get(one) == self.digest), tag)
        label = self._label()
        return label if label and rules.version(label) else None

    def _label(self) -> str | None:
        registry, repository = self._place.registry, self._place.repository
        manifest: Manifest | None = registry.manifest(repository, self.digest, artifacts=True)
        if manifest and manifest.is_index:
            child = next((one for one in manifest.manifests if one.platform and not one.attests), None)
            manifest = registry.manifest(repository, child.digest) if child else None
        if manifest is None or manifest.config is None:
            return None
        labels = ((registry.config(repository, manifest.config.digest) or {}).get("config") or {}).get("Labels") or {}
        return labels.get(_VERSION_LABEL)


def _digests(place: Place, tags: Sequence[str]) -> dict[str, str]:
    found = place.registry.concurrently(lambda tag: place.registry.resolve(place.repository, tag, artifacts=True), tags)
    return {tag: one.digest for tag, one in zip(tags, found, strict=True) if one}


def _unmoved_since(planned: dict[str, str | None]) -> Callable[[Place, str, Descriptor | None], None]:
    def guard(place: Place, tag: str, now: Descriptor | None) -> None:
        before, at = planned[f"{place}:{tag}"], now.digest if now else None
        if at != before:
            raise RegistryError(
                f"it moved from {before or 'nothing'} to {at or 'nothing'} since the plan was made",
                where=f"{place}:{tag}",
                hint="run this again to see the new plan",
            )

    return guard


def _raise_for(refused: Sequence[Outcome], outcomes: Sequence[Outcome], say: Callable[[str], None]) -> None:
    for one in refused:
        if one.step and one.step.refusal:
            say(str(RegistryError(one.step.refusal.why, where=one.reference, hint=one.step.refusal.hint)))
    if refused:
        many = "a tag is" if len(refused) == 1 else f"{len(refused)} tags are"
        raise RegistryError(f"{many} refused, so nothing was done")
    failed = [one for one in outcomes if one.error]
    for one in failed:
        say(str(one.error))
    if failed:
        raise RegistryError(f"not done: {', '.join(one.reference for one in failed)}")
