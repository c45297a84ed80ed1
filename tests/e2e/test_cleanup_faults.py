"""Cleaning up real registries through a proxy that fails, and with a process that is killed at each deletion."""

from __future__ import annotations

import itertools
import os
import pickle
import shutil
import signal
import subprocess
import sys
from concurrent.futures import Future
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from imagewright.cleanup.carry_out import Done, carry_out
from imagewright.cleanup.inuse.scan import scan
from imagewright.cleanup.journal import Journal, unfinished
from imagewright.cleanup.model import Policy, Rule
from imagewright.cleanup.plan import plan_repository
from imagewright.cleanup.read import read_picture
from imagewright.cleanup.sweep import sweep
from imagewright.cleanup.undo import undo
from imagewright.cleanup.verify import verify
from imagewright.cli.cleanup_reading import InUse, Target, read
from imagewright.errors import ImagewrightError
from imagewright.registry.answer import Address, Answer, LostConnectionError
from imagewright.registry.client import Registry
from imagewright.registry.connections import Connections
from imagewright.registry.copy import Place
from imagewright.registry.session import WORKERS
from tests.cleanup.stock import NOW, PlainDoor, Stock, plan_for
from tests.e2e.faults import ALL, STALLED, Proxy, by_seed, proxy
from tests.e2e.registries import Served

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from imagewright.cleanup.model import Picture, RepositoryPlan
    from tests.e2e.faults import Fault

pytestmark = pytest.mark.e2e

_names = itertools.count()
DOOMED = ("1", "1.0", "0.9", "0.8")
# A process for each line on its standard input, and on its standard output that process' id and exit code.
CHILDREN = """
import os, pickle, sys
from pathlib import Path
import imagewright.registry.connections
from imagewright.cleanup.carry_out import carry_out
from imagewright.registry.client import Registry
from imagewright.registry.copy import Place
from tests.cleanup.stock import NOW, PlainDoor
host, by_tag = sys.argv[1], sys.argv[2] == "True"
for line in sys.stdin:
    child = os.fork()
    if not child:
        break
    print(child, flush=True)
    print(os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]), flush=True)
else:
    sys.exit()
folder = Path(line.rstrip())
plan, picture, place_name = pickle.loads((folder / "plan").read_bytes())
with Registry(host, credentials=lambda _: None) as registry:
    place = Place(registry, place_name)
    done = carry_out(plan, picture, place, PlainDoor(place, by_tag=by_tag),
        journals=folder / "journals", leases=folder / "leases", now=NOW)
    sys.exit(0 if done.ok else 1)
"""


class Impatient(Connections):
    """The real transport, which takes the proxy's word for it that no answer would come, and does not wait for that."""

    def __init__(self) -> None:
        super().__init__(most=2 * WORKERS, trust=None, proxies=False)

    def send(self, method: str, url: Address, **parts: Any) -> Answer:
        answer = super().send(method, url, **parts)
        if answer.status_code == STALLED:
            raise LostConnectionError("timed out", timed_out=True)
        return answer


@dataclass(frozen=True)
class Filled:
    """A repository that was pushed once; the others are copies of its links in the registry's own store."""

    served: Served
    name: str = "shop/filled"

    def push(self) -> None:
        with Registry(self.served.host, credentials=lambda _: None) as registry:
            stock = Stock(Place(registry, self.name))
            shared = stock.image("shared")
            old = stock.index([stock.image("old"), shared], "1", "1.0")
            new = stock.index([stock.image("new"), shared], "2", "latest")
            stock.image("single", "0.9")
            for one in (old, new):
                stock.cosign(one)
                stock.fallback(one, stock.referrer(one, f"sbom of {one.digest}"))
            stock.image("both", "0.8", "stable")

    def copy(self, name: str) -> None:
        repositories = self.served.folder / "data/docker/registry/v2/repositories"
        shutil.copytree(repositories / self.name, repositories / name)


@dataclass
class Site:
    """A repository on a real registry, reached directly and through the proxy, under the same name."""

    direct: Place
    faulty: Place
    proxy: Proxy
    by_tag: bool
    folder: Path
    filled: Filled
    stock: Stock = field(init=False)

    def __post_init__(self) -> None:
        # References have the registry's name in them: what goes round the proxy is pushed and checked only.
        self.stock = Stock(self.direct)

    def fill(self) -> tuple[str, ...]:
        """Old and new images with all that can hang together; the tags that are to go."""
        self.filled.copy(self.direct.repository)
        return DOOMED

    def picture(self) -> Picture:
        """What is really there, under the proxy's name."""
        self.proxy.choose = lambda _method, _path: None
        found = read_picture(self.faulty, memory=self.folder / f"memory{next(_names)}", now=NOW)
        assert found.problems == ()
        return found

    def plan(self, picture: Picture, doomed: tuple[str, ...]) -> RepositoryPlan:
        return plan_for(picture, doomed, by_tag=self.by_tag)

    def carry_out(self, plan: RepositoryPlan, picture: Picture) -> Done:
        return carry_out(
            plan,
            picture,
            self.faulty,
            PlainDoor(self.faulty, by_tag=self.by_tag),
            journals=self.folder / "journals",
            leases=self.folder / "leases",
            now=NOW,
        )

    def deleted(self) -> set[str]:
        return {path.rpartition("/")[2] for method, path, _ in self.proxy.log if method == "DELETE"}

    def left(self, plan: RepositoryPlan) -> list[str]:
        references = (*plan.tags, *plan.manifests)
        return [one for one in references if self.direct.registry.resolve(self.direct.repository, one, artifacts=True)]


@pytest.fixture(scope="module", params=[3, 2], ids=["distribution 3", "distribution 2"])
def generation(request: pytest.FixtureRequest) -> int:
    return int(request.param)


@pytest.fixture(scope="module")
def served(generation: int, serve: Callable[[int], Served]) -> Served:
    return serve(generation)


@pytest.fixture(scope="module")
def filled(served: Served) -> Filled:
    made = Filled(served)
    made.push()
    return made


@pytest.fixture
def site(served: Served, filled: Filled, generation: int, tmp_path: Path) -> Iterator[Site]:
    name = f"shop/app{next(_names)}"
    with (
        proxy(served.host) as between,
        Registry(served.host, credentials=lambda _: None) as direct,
        Registry(between.host, credentials=lambda _: None, transport=Impatient(), sleep=lambda _: None) as faulty,
    ):
        yield Site(Place(direct, name), Place(faulty, name), between, generation == 3, tmp_path, filled)


@pytest.mark.parametrize("fault", ALL)
def test_any_fault_while_reading_is_a_problem_or_changes_nothing(site: Site, fault: Fault) -> None:
    doomed = site.fill()
    true = site.picture()
    requests = len(site.proxy.log)
    for number in range(0, requests, 9):
        count = itertools.count()

        def choose(_method: str, path: str, count: itertools.count[int] = count, number: int = number) -> Fault | None:
            return fault if path != "/v2/" and next(count) >= number else None  # from there on, all fail

        site.proxy.choose = choose
        found = read_picture(site.faulty, memory=site.folder / f"memory{number}", now=NOW)
        if not found.problems:
            # The one lie that cannot be told from the truth: there is no such repository. Then nothing is planned.
            assert found == true or (found.tags == {} and found.manifests == {})
            continue
        site.proxy.choose = lambda _method, _path: None
        with pytest.raises(ImagewrightError):
            site.carry_out(site.plan(true, doomed), found)
    assert site.deleted() == set()


@pytest.mark.parametrize("seed", range(5))
def test_faults_at_any_request_while_reading(site: Site, seed: int) -> None:
    site.fill()
    true = site.picture()
    site.proxy.choose = by_seed(seed, 0.15)
    found = read_picture(site.faulty, memory=site.folder / "memory", now=NOW)
    assert found.problems or found == true or (found.tags == {} and found.manifests == {})
    site.proxy.choose = lambda _method, _path: None
    again = read_picture(site.faulty, memory=site.folder / "memory", now=NOW)  # with the memory of the failed one
    assert again == true


@pytest.mark.parametrize("seed", range(12))
def test_faults_at_any_request_while_deleting(site: Site, seed: int) -> None:
    doomed = site.fill()
    picture = site.picture()
    plan = site.plan(picture, doomed)
    site.proxy.log.clear()
    site.proxy.choose = by_seed(seed, (0.03, 0.1, 0.3)[seed % 3])
    done = None
    try:
        done = site.carry_out(plan, picture)
    finally:
        site.proxy.choose = lambda _method, _path: None
    assert site.deleted() <= {*plan.tags, *plan.manifests}
    assert verify(site.direct, plan.roots) == ()
    assert all(entry.exists() for entry in [done.journal] if entry)
    # Nothing that is still tagged has lost a part.
    there = site.direct.registry.tags(site.direct.repository) or ()
    now = {tag: site.direct.registry.resolve(site.direct.repository, tag, artifacts=True) for tag in there}
    assert verify(site.direct, {tag: found.digest for tag, found in now.items() if found}) == ()
    # And once more, with the same plan, it comes to its end.
    assert site.carry_out(plan, site.picture()).outcome.error is None
    assert site.left(plan) == []
    assert verify(site.direct, plan.roots) == ()


@pytest.mark.parametrize("fault", ["401", "403", "405"])
def test_a_refused_deletion_ends_it(site: Site, fault: Fault) -> None:
    doomed = site.fill()
    picture = site.picture()
    plan = site.plan(picture, doomed)
    site.proxy.choose = lambda method, _path: fault if method == "DELETE" else None
    done = site.carry_out(plan, picture)
    assert isinstance(done.outcome.error, ImagewrightError)
    assert not done.ok
    assert len(site.deleted()) == 1


def test_a_registry_that_fails_at_every_deletion_is_not_asked_for_ever(site: Site) -> None:
    doomed = tuple(str(number) for number in range(9))
    for tag in doomed:
        site.stock.image(tag, tag)
    picture = site.picture()
    plan = site.plan(picture, doomed)
    site.proxy.choose = lambda method, _path: "500" if method == "DELETE" else None
    done = site.carry_out(plan, picture)
    assert "in a row" in str(done.outcome.error)
    assert len(site.deleted()) == 3


def test_a_registry_that_fails_once_is_told(site: Site) -> None:
    site.stock.image("old", "1")
    picture = site.picture()
    plan = site.plan(picture, ("1",))
    site.proxy.choose = lambda method, _path: "500" if method == "DELETE" else None
    done = site.carry_out(plan, picture)
    assert done.outcome.error is None
    assert not done.ok
    assert done.verified
    assert done.journal
    assert unfinished(done.journal.parent, str(site.faulty)) == {done.journal: frozenset(plan.manifests)}


def test_a_deletion_without_an_answer_is_looked_at(site: Site) -> None:
    doomed = site.fill()
    picture = site.picture()
    plan = site.plan(picture, doomed)
    site.proxy.choose = lambda method, _path: "lost" if method == "DELETE" else None
    done = site.carry_out(plan, picture)
    assert done.ok
    assert set(done.outcome.deleted_manifests) == set(plan.manifests)
    assert site.left(plan) == []


@pytest.mark.parametrize(("when", "then"), [("before", "again"), ("after", "undo"), ("after", "anew")])
def test_killed_at_each_deletion(site: Site, when: str, then: str) -> None:
    deletions = 0
    doomed = site.fill()
    first = site.picture()
    with _children(site) as children:
        for number in itertools.count():
            one = _elsewhere(site, number)
            one.fill()
            picture = replace(first, repository=str(one.faulty))  # the repositories are each other's copies
            plan = one.plan(picture, doomed)
            killed = _run_and_kill(children, one, plan, picture, when, number)
            assert verify(one.direct, plan.roots) == ()
            if not killed:
                break
            deletions += 1
            if then == "again":
                done = one.carry_out(plan, one.picture())
                assert done.ok
                assert one.left(plan) == []
            elif then == "anew":  # with a plan of its own, as whoever has saved none does it
                fresh, seen = _planned_anew(one)
                done = one.carry_out(fresh, seen)
                assert done.ok
                assert set(one.left(plan)) <= {"0.8"}, "which is protected here, as the same image as stable"
            else:
                (journal,) = (one.folder / "journals").iterdir()
                restored = undo(journal, one.faulty)
                assert restored.ok
                after = one.picture()
                assert after.tags == picture.tags
                assert after.manifests == picture.manifests
                assert verify(one.direct, picture.tags) == ()
            assert verify(one.direct, plan.roots) == ()
    assert deletions == (len(plan.tags) if site.by_tag else 0) + len(plan.manifests)


def test_nothing_is_deleted_that_cannot_be_written_down(site: Site, monkeypatch: pytest.MonkeyPatch) -> None:
    doomed = site.fill()
    picture = site.picture()
    plan = site.plan(picture, doomed)
    door = PlainDoor(site.faulty, by_tag=site.by_tag)
    with Journal.create(site.folder, str(site.faulty), NOW) as journal:

        def full(_file: int) -> None:
            raise OSError(28, "No space left on device")

        monkeypatch.setattr(os, "fsync", full)
        done = sweep(plan, picture, site.faulty, door, journal, deletes_tags=site.by_tag)
    assert "the journal cannot be written" in str(done.error)
    assert door.asked == []


def _planned_anew(site: Site) -> tuple[RepositoryPlan, Picture]:
    left = unfinished(site.folder / "journals", str(site.faulty))
    target = Target(place=site.faulty)
    read(
        target,
        InUse(scan=scan([], {str(site.faulty)})),
        memory=site.folder / "anew",
        now=NOW,
        progress=lambda _done, _total: None,
        left=frozenset[str]().union(*left.values()),
    )
    policy = Policy(
        rules=(Rule(name="none", keep=0),),
        protect=("2", "latest", "stable"),
        max_share=1.0,
        allow_keep_zero=True,
    )
    assert target.picture
    plan = plan_repository(target.picture, policy, now=NOW, deletes_tags=site.by_tag)
    assert plan.refused is None
    return plan, target.picture


def _elsewhere(site: Site, number: int) -> Site:
    name = f"shop/killed{next(_names)}"
    folder = site.folder / str(number)
    folder.mkdir()
    direct, faulty = Place(site.direct.registry, name), Place(site.faulty.registry, name)
    return Site(direct, faulty, site.proxy, site.by_tag, folder, site.filled)


@contextmanager
def _children(site: Site) -> Iterator[subprocess.Popen[str]]:
    """Starts processes that carry out a plan; it has loaded what they need."""
    root = Path(__file__).parents[2]
    with subprocess.Popen(
        [sys.executable, "-c", CHILDREN, site.proxy.host, str(site.by_tag)],
        env={**os.environ, "PYTHONPATH": f"{root}{os.pathsep}{root / 'tasks'}"},
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    ) as children:
        yield children


def _run_and_kill(
    children: subprocess.Popen[str], site: Site, plan: RepositoryPlan, picture: Picture, when: str, number: int
) -> bool:
    (site.folder / "plan").write_bytes(pickle.dumps((plan, picture, site.faulty.repository)))
    count = itertools.count()
    child, code = Future[int](), Future[int]()

    def kill(method: str, _path: str) -> None:
        if method == "DELETE" and next(count) == number:
            os.kill(child.result(60), signal.SIGKILL)
            code.result(60)

    assert children.stdin
    assert children.stdout
    setattr(site.proxy, when, kill)
    try:
        children.stdin.write(f"{site.folder}\n")
        children.stdin.flush()
        child.set_result(int(children.stdout.readline()))
        code.set_result(int(children.stdout.readline()))
    finally:
        site.proxy.before = site.proxy.after = lambda _method, _path: None
    assert code.result() in (0, -signal.SIGKILL)
    return code.result() != 0
