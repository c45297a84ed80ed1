"""Reads, plans, shows, asks, deletes and proves what `invoke cleanup` asks for."""

from __future__ import annotations

import json
import sys
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING

from imagewright.cleanup.carry_out import Done, carry_out
from imagewright.cleanup.drift import drift
from imagewright.cleanup.journal import finish, unfinished
from imagewright.cleanup.planfile import load, save
from imagewright.cleanup.uses import used
from imagewright.cli.cleaned import (
    Counter,
    age_of,
    counted,
    document,
    failures,
    raise_for,
    show_plans,
    taking,
    tell_done,
    tell_interrupted,
    tell_unmatched,
    told,
)
from imagewright.cli.cleanup_reading import InUse, Target, plan_all, read, stop_where_built_on
from imagewright.config.sizes import size
from imagewright.errors import ImagewrightError, UsageError

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from imagewright.cleanup.model import RepositoryPlan
    from imagewright.cli.cleanup_doors import Doors
    from imagewright.cli.cleanup_selection import Selection
    from imagewright.cli.project import Project


class Cleaning:
    """One call. `ask` puts a question to the person; None where there is nobody."""

    def __init__(
        self,
        project: Project,
        selection: Selection,
        doors: Doors,
        *,
        dry_run: bool = False,
        yes: bool = False,
        as_json: bool = False,
        now: datetime | None = None,
        ask: Callable[[str], bool] | None = None,
    ) -> None:
        self._project = project
        self._selection = selection
        self._doors = doors
        self._now = now or datetime.now(UTC)
        self._dry_run = dry_run
        self._yes = yes
        self._as_json = as_json
        self._ask = ask or (_ask if sys.stdin.isatty() else None)

    def clean(self) -> None:
        """The plan of this moment, shown, agreed to, carried out and verified."""
        targets = self.planned()
        self._show(targets)
        self._go_on(targets)

    def save(self, file: str) -> None:
        """The plan of this moment, shown and kept in a file."""
        targets = self.planned()
        self._show(targets)
        save(Path(file), [one.plan for one in targets if one.plan])
        self._project.say(f"the plan is in {file}: `invoke cleanup --apply {file}` carries it out")
        self._end(targets, {}, dry_run=True)

    def apply(self, file: str) -> None:
        """The plan of a file, where every repository still is as the plan has it, and nothing of it came into use."""
        plans = load(Path(file))
        in_use = self._selection.in_use([plan.repository for plan in plans])
        targets = [Target(place=self._doors.place(plan.repository), plan=plan) for plan in plans]
        for target in targets:
            self._guarded(target, lambda one: self._read_again(one, in_use))
        stop_where_built_on([*targets, *self._onlookers(targets, in_use)], in_use)
        self._show(targets)
        self._go_on(targets)

    def planned(self, *, complete: bool = True) -> list[Target]:
        """The repositories in question, each read and with its plan; `complete`: each has to have a policy."""
        wanted = self._selection.repositories()
        policies = self._selection.policies(wanted)
        without = [one for one in wanted if one not in policies]
        if without and complete:
            raise UsageError(
                f"nothing says what to keep of {without[0]}",
                hint="--keep N, --keep-younger 7d, or the section `cleanup` in config/images.yml",
            )
        in_use = self._selection.in_use(wanted)
        targets = [Target(place=self._doors.place(one), policy=policies.get(one)) for one in wanted]
        for target in targets:
            self._guarded(target, self._open)
            if target.error is None:
                self._read(target, in_use)
        watched = self._onlookers(targets, in_use)
        plan_all([*targets, *watched], in_use, now=self._now)
        return targets

    def _onlookers(self, targets: Sequence[Target], in_use: InUse) -> list[Target]:
        """The other repositories of what is built on these, read."""
        ours = {one.repository for one in targets}
        found = {child for one in ours for child in in_use.children.get(one, ())} - ours
        watched = [Target(place=self._doors.place(one)) for one in sorted(found)]
        for target in watched:
            self._read(target, in_use)
        return watched

    @property
    def _journals(self) -> Path:
        return self._project.places.state / "cleanup/journals"

    def _open(self, target: Target) -> None:
        target.deleter = self._doors.deleter(target.place)

    def _read(self, target: Target, in_use: InUse) -> None:
        memory = self._project.places.cache / "cleanup"
        left = unfinished(self._journals, target.repository) if target.policy else {}
        with Counter(f"reading {target.repository}", self._project.say) as counter:
            read(
                target,
                in_use,
                memory=memory,
                now=self._now,
                progress=counter,
                left=frozenset[str]().union(*left.values()),
            )
        if target.picture and target.picture.taken < self._now:
            ahead = age_of(target.picture.taken, self._now)
            self._project.say(
                f"{target.repository}: this machine's clock is {ahead} ahead of the registry's, which counts"
            )
        if target.picture and not target.picture.problems:
            for journal, planned in left.items():
                if planned <= target.picture.absent:
                    finish(journal)

    def _read_again(self, target: Target, in_use: InUse) -> None:
        plan = target.plan
        if plan is None or plan.refused:
            return
        self._open(target)
        self._read(target, in_use)
        if target.picture is None:
            raise AssertionError("reading takes a picture")
        if moved := (*drift(plan, target.picture), *_came_into_use(plan, target)):
            raise ImagewrightError(
                f"the registry is not as the plan has it: {'; '.join(moved)}",
                where=target.repository,
                hint="nothing was deleted there: make a new plan",
            )

    def _show(self, targets: Sequence[Target]) -> None:
        if not self._as_json:
            show_plans([one.plan for one in targets if one.plan], self._now)
        for target in targets:
            if target.error is None and not (target.plan and target.plan.refused):  # these are told at the end
                self._project.say(told(target))
            if self._dry_run and target.deleter and not target.plan_only:
                for note in target.deleter.can.notes:
                    self._project.say(f"{target.repository}: {note}")
        tell_unmatched(self._project.say, targets)

    def _go_on(self, targets: Sequence[Target]) -> None:
        ready = [one for one in targets if one.can_be_done]
        if not ready or self._dry_run or not self._agreed(ready):
            self._end(targets, {}, dry_run=self._dry_run or not self._yes)
            return
        done: dict[str, Done] = {}
        for target in ready:
            self._guarded(target, lambda one: done.update({one.repository: self._carried_out(one)}))
        self._end(targets, done, dry_run=False)

    def _agreed(self, ready: Sequence[Target]) -> bool:
        if self._yes:
            return True
        if self._ask is None or self._as_json:
            self._project.say("nothing was deleted: --yes says that it may be, where nobody can be asked")
            return False
        plans = [one.plan for one in ready if one.plan]
        where = plans[0].repository if len(plans) == 1 else f"{len(plans)} repositories"
        facts = [where, size(sum(plan.freed for plan in plans)), *filter(None, [taking(*ready)])]
        if self._ask(f"Delete {counted(*plans)} of {', '.join(facts)}? [y/N] "):
            return True
        self._project.say("nothing was deleted")
        return False

    def _carried_out(self, target: Target) -> Done:
        if target.plan is None or target.picture is None or target.deleter is None:
            raise AssertionError("only what was read and planned is carried out")
        begun: list[Path] = []
        try:
            with Counter(f"deleting in {target.repository}", self._project.say) as counter:
                done = carry_out(
                    target.plan,
                    target.picture,
                    target.place,
                    target.deleter,
                    journals=self._journals,
                    leases=self._project.places.state / "cleanup/leases",
                    now=self._now,
                    begun=begun.append,
                    progress=counter,
                )
        except KeyboardInterrupt:
            for journal in begun:
                tell_interrupted(self._project.say, target.repository, journal)
            raise
        tell_done(self._project.say, target.plan, done)
        return done

    def _end(self, targets: Sequence[Target], done: dict[str, Done], *, dry_run: bool) -> None:
        if self._as_json:
            print(json.dumps(document(targets, done, dry_run=dry_run), indent=2))  # noqa: T201
        raise_for(failures(targets, done, dry_run=dry_run))

    def _guarded(self, target: Target, act: Callable[[Target], object]) -> None:
        """A repository that fails stops no other."""
        try:
            act(target)
        except ImagewrightError as error:
            target.error = error


def _came_into_use(plan: RepositoryPlan, target: Target) -> list[str]:
    """What the plan deletes and something needs by now."""
    now = used(target.uses, plan.repository)
    digests = {*plan.manifests, *(one.digest for one in plan.verdicts if not one.keep)}
    found = {tag: now.tags[tag] for tag in plan.tags if tag in now.tags}
    found |= {digest: where for digest, where in now.digests.items() if digest in digests}
    return [f"{what} is in use: {where}" for what, where in sorted(found.items())]


def _ask(question: str) -> bool:
    sys.stderr.write(question)
    sys.stderr.flush()
    return sys.stdin.readline().strip().lower() in ("y", "yes")
