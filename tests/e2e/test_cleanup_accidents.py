"""What has gone wrong with other programs, from the plan to the deletion, on real registries of both generations."""

from __future__ import annotations

import itertools
import json
import shutil
from contextlib import contextmanager
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any

import pytest

from imagewright.cleanup.carry_out import carry_out
from imagewright.cleanup.inuse.scan import scan
from imagewright.cleanup.model import Policy, Rule
from imagewright.cleanup.plan import plan_repository
from imagewright.cleanup.read import read_picture
from imagewright.cleanup.verify import verify
from imagewright.cli.cleanup_reading import InUse, Target, read
from imagewright.registry.client import Registry
from imagewright.registry.copy import Place
from tests.cleanup.stock import NOW, Stock, plan_for
from tests.e2e.faults import proxy
from tests.e2e.test_cleanup import PushingDoor, Site

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from imagewright.cleanup.carry_out import Done
    from imagewright.cleanup.model import Picture, RepositoryPlan, Sort
    from imagewright.registry.model import Manifest
    from tests.e2e.faults import Proxy
    from tests.e2e.registries import Served

pytestmark = pytest.mark.e2e

_names = itertools.count()


@pytest.fixture(scope="module", params=[3, 2], ids=["distribution 3", "distribution 2"])
def generation(request: pytest.FixtureRequest) -> int:
    return int(request.param)


@pytest.fixture(scope="module")
def served(generation: int, serve: Callable[[int], Served]) -> Served:
    return serve(generation)


@contextmanager
def site_at(host: str, generation: int, folder: Path, name: str = "") -> Iterator[Site]:
    with Registry(host, credentials=lambda _: None, sleep=lambda _: None) as registry:
        yield Site(Stock(Place(registry, name or f"accidents/app{next(_names)}")), generation == 3, folder)


@pytest.fixture
def site(served: Served, generation: int, tmp_path: Path) -> Iterator[Site]:
    with site_at(served.host, generation, tmp_path) as made:
        yield made


def keeping(number: int | None, **more: Any) -> Policy:
    rule = Rule(name="rule", keep=number, younger=more.pop("younger", None), sort=more.pop("sort", "date"))
    return Policy(rules=(rule,), **{"max_share": 1.0, **more})


def clean(site: Site, policy: Policy) -> tuple[RepositoryPlan, Done]:
    """Plan and carry out as the command does, and see for ourselves that all that was kept is there."""
    plan = plan_repository(site.read(), policy, now=NOW, deletes_tags=site.by_tag)
    assert plan.refused is None
    done = site.carry_out(plan)
    assert done.ok
    assert verify(site.place, plan.roots) == ()
    return plan, done


def carried_out(site: Site, plan: RepositoryPlan, picture: Picture) -> Done:
    """With what was seen when the plan was made."""
    return carry_out(
        plan, picture, site.place, site.door(), journals=site.folder / "j", leases=site.folder / "l", now=NOW
    )


def test_dates_that_cannot_be_keep_the_image_and_take_no_place(site: Site) -> None:
    odd = {
        "missing": "",
        "d1970": "1970-01-01T00:00:00Z",
        "d0001": "0001-01-01T00:00:00Z",
        "future": (NOW + timedelta(days=1)).isoformat(),
        "no-zone": "2026-02-01T00:00:00",
        "nonsense": "yesterday",
    }
    for tag, created in odd.items():
        site.stock.image(tag, tag, created=created)
    for days in (1, 2, 3):
        site.stock.image(f"{days} days", f"{days}d", days=days)
    plan, _ = clean(site, keeping(2))
    assert plan.tags == ("3d",)
    assert set(site.read().tags) == {*odd, "1d", "2d"}
    assert {one.rule for one in plan.verdicts if one.tag in odd} == {"unknown date"}


def test_where_all_dates_are_equal_versions_decide(site: Site) -> None:
    for tag in ("1.9", "1.10", "1.2"):
        site.stock.image(tag, tag, days=5)
    plan, _ = clean(site, keeping(1))
    assert set(plan.roots) == {"1.10"} == set(site.read().tags)


@pytest.mark.parametrize(("sort", "kept"), [("version", {"1.10", "2.0"}), ("date", {"1.9", "1.10-rc1"})])
def test_version_order_against_date_order(site: Site, sort: Sort, kept: set[str]) -> None:
    for days, tag in enumerate(("1.9", "1.10-rc1", "1.10", "2.0"), 1):  # the older, the higher
        site.stock.image(tag, tag, days=days)
    clean(site, keeping(2, sort=sort))
    assert set(site.read().tags) == kept


def test_keeping_none_and_more_than_there_are(site: Site) -> None:
    images = [site.stock.multi(tag, tag, days=5) for tag in ("1", "2")]
    plan, done = clean(site, keeping(3))
    assert (plan.tags, plan.manifests, done.journal) == ((), (), None)
    assert plan_repository(site.read(), keeping(0), now=NOW, deletes_tags=site.by_tag).refused
    nothing = keeping(0, allow_keep_zero=True)
    assert plan_repository(site.read(), nothing, now=NOW, deletes_tags=site.by_tag).refused
    clean(site, keeping(0, allow_keep_zero=True, allow_empty=True))
    assert site.has(*images) == [False, False]
    assert site.read().tags == {}
    clean(site, keeping(0, allow_keep_zero=True))  # an empty repository, which distribution 2 lists as null


def test_a_clock_that_is_a_day_fast(site: Site) -> None:
    """The registry's own clock is right."""
    real = datetime.now(UTC)
    for tag, days in (("new", 0.1), ("nearly", 6.5), ("old", 7.5)):
        site.stock.image(tag, tag, created=(real - timedelta(days=days)).isoformat())
    for ahead in (timedelta(0), timedelta(days=1), timedelta(days=400)):
        target = Target(place=site.place)
        scanned = InUse(scan=scan([], {str(site.place)}))
        read(target, scanned, memory=site.folder / "memory", now=real + ahead, progress=lambda _done, _total: None)
        assert target.picture
        assert abs(target.picture.taken - real) < timedelta(minutes=5)
        week = keeping(None, younger=timedelta(days=7))
        plan = plan_repository(target.picture, week, now=real + ahead, deletes_tags=site.by_tag)
        assert plan.tags == ("old",)


def test_nothing_to_delete_needs_no_right_to(serve: Callable[..., Served], generation: int, tmp_path: Path) -> None:
    served = serve(generation, deletes=False)
    with proxy(served.host) as between, site_at(between.host, generation, tmp_path) as site:
        site.stock.multi("one", "1")
        clean(site, keeping(5))
        assert "DELETE" not in {method for method, _, _ in between.log}


class TestPages:
    """1,500 tags, of which one that decides stands on the second page."""

    @pytest.fixture
    def between(self, served: Served, generation: int) -> Iterator[Proxy]:
        with proxy(served.host) as made:
            if generation == 3:  # makes pages where it is asked to
                made.sent_as = lambda path: f"{path}?n=1000" if path.endswith("/tags/list") else path
            else:
                made.edit = paged
            yield made

    @pytest.fixture
    def many(self, between: Proxy, served: Served, generation: int, tmp_path: Path) -> Iterator[Site]:
        with site_at(between.host, generation, tmp_path) as site:
            for name in ("old", "new"):
                site.stock.image(name, f"t-{name}", days=9 if name == "old" else 1)
            stored = served.folder / "data/docker/registry/v2/repositories" / site.place.repository / "_manifests/tags"
            (stored / "t-old").rename(stored / "a-old")
            shutil.copytree(stored / "a-old", stored / "zz-old-too")
            yield site

    def test_are_all_read_before_anything_goes(self, many: Site, between: Proxy, served: Served) -> None:
        stored = served.folder / "data/docker/registry/v2/repositories" / many.place.repository / "_manifests/tags"
        for number in range(1497):  # what a push of each would write
            shutil.copytree(stored / "t-new", stored / f"n{number:04}")
        picture = many.read()
        assert len([path for _, path, _ in between.log if "/tags/list" in path]) == 2
        by_tag = many.by_tag
        protecting = plan_repository(picture, keeping(1, protect=("zz-*",)), now=NOW, deletes_tags=by_tag)
        assert len(protecting.roots) == 1500, "both tags of the old image stay: one of them is protected"
        plan = plan_repository(picture, keeping(1), now=NOW, deletes_tags=by_tag)
        assert carried_out(many, plan, picture).ok
        assert set(plan.tags) == {"a-old", "zz-old-too"}
        assert many.digest("zz-old-too") is None
        assert many.digest("n1496") is not None

    @pytest.mark.parametrize("link", ["itself", "another host", "nothing"])
    def test_that_cannot_be_followed_delete_nothing(self, many: Site, between: Proxy, link: str) -> None:
        path = f"/v2/{many.place.repository}/tags/list"
        to = {"itself": path, "another host": f"https://other.example{path}?last=n0999", "nothing": f"{path}x"}[link]
        honest = many.read()

        def edit(at: str, headers: dict[str, str], content: bytes) -> bytes:
            if at.startswith(path):
                headers["Link"] = f'<{to}>; rel="next"'
            return content

        between.edit = edit
        between.log.clear()
        picture = read_picture(many.place, memory=many.folder / "odd", now=NOW)
        assert picture.problems
        assert plan_repository(picture, keeping(1), now=NOW, deletes_tags=many.by_tag).refused
        # Nor does a plan that was made before.
        plan = plan_repository(honest, keeping(1), now=NOW, deletes_tags=many.by_tag)
        done = carried_out(many, plan, honest)
        assert done.outcome.error
        assert "DELETE" not in {method for method, _, _ in between.log}


def paged(path: str, headers: dict[str, str], content: bytes) -> bytes:
    """Pages of a thousand tags, as distribution 3 makes them."""
    where, _, query = path.partition("?")
    if not where.endswith("/tags/list"):
        return content
    tags = sorted(json.loads(content)["tags"])
    if not query and len(tags) > 1000:
        headers["Link"] = f'<{where}?last={tags[999]}&n=1000>; rel="next"'
    headers.pop("Content-Length", None)
    return json.dumps({"tags": tags[1000:] if query else tags[:1000]}).encode()


def test_what_a_new_index_needs_of_a_run_that_was_killed(site: Site) -> None:
    """Its top is untagged by then, so that only the plan tells of what lies below."""
    leaf, other = site.stock.image("leaf"), site.stock.image("other")
    middle = site.stock.index([leaf, other])
    top = site.stock.index([middle], "old")
    site.stock.image("kept", "latest")
    plan = site.plan("old")
    assert plan.manifests[:2] == (top.digest, middle.digest)
    registry, name = site.place.registry, site.place.repository
    registry.delete_tag(name, "old") if site.by_tag else registry.delete_manifest(name, top.digest)
    picture = site.read("after")
    assert middle.digest not in picture.manifests
    # Between that look and the sweep, somebody signs what no tag leads to.
    signature = site.stock.cosign(middle)
    done = carried_out(site, plan, picture)
    assert done.outcome.error is None
    assert site.has(middle, leaf, other) == [True, True, True]
    assert verify(site.place, {"latest": plan.roots["latest"], signature: str(site.digest(signature))}) == ()


@pytest.mark.parametrize("what", ["index", "signature", "referrer", "list of referrers", "tag"])
@pytest.mark.parametrize("about", ["index", "child"])
def test_what_came_between_plan_and_sweep_is_seen(site: Site, what: str, about: str) -> None:
    child, other = site.stock.image("child"), site.stock.image("other")
    index = site.stock.index([child, other], "old")
    site.stock.image("kept", "latest")
    plan, picture = site.plan("old"), site.read()
    new(site.stock, what, index if about == "index" else child)
    roots = {tag: str(site.digest(tag)) for tag in site.place.registry.tags(site.place.repository) or ()}
    done = carried_out(site, plan, picture)
    assert done.outcome.error is None
    del roots["old"]
    assert verify(site.place, roots) == ()
    assert site.has(child) == [True]
    assert site.has(index, other) == ([True, True] if about == "index" else [False, False])
    # Where it speaks about the tagged image itself, that keeps its name, too.
    spoken = about == "index" and what in ("signature", "referrer", "list of referrers")
    assert (site.digest("old") is not None) == (spoken or (about == "index" and not site.by_tag))


def new(stock: Stock, what: str, about: Manifest) -> None:
    """Something that came after the plan."""
    match what:
        case "index":
            stock.index([about, stock.image("fresh")], "fresh")
        case "signature":
            stock.cosign(about)
        case "referrer":
            stock.referrer(about, "sbom", "sbom-of-it")
        case "list of referrers":
            stock.fallback(about, stock.referrer(about, "sbom"))
        case "tag":
            stock.place.registry.push_manifest(stock.place.repository, "again", about)


@pytest.mark.parametrize("lie", ["DELETE", "GET"])
def test_a_404_on_the_way_breaks_no_image(served: Served, generation: int, tmp_path: Path, lie: str) -> None:
    """A gateway says it, and the registry does not: what it is asked for is still there, with its tag."""
    with proxy(served.host) as between, site_at(between.host, generation, tmp_path) as site:
        index = site.stock.multi("old", "old")
        site.stock.image("kept", "latest")
        plan = plan_for(site.read(), ["old"], by_tag=site.by_tag)
        assert plan.manifests[0] == index.digest
        between.choose = lambda method, path: "404" if method == lie and path.endswith(index.digest) else None
        if lie == "GET" and site.by_tag:  # its bytes are in the journal by then, so it is not asked for
            plan = replace(plan, tags=())
            site.place.registry.delete_tag(site.place.repository, "old")
        done = site.carry_out(plan)
        between.choose = lambda _method, _path: None
        assert not done.ok
        assert site.digest(index.digest) == index.digest
        assert verify(site.place, {**plan.roots, index.digest: index.digest}) == ()
        assert site.carry_out(plan).ok
        assert site.digest(index.digest) is None


@dataclass
class _Other:
    """Another machine's cleanup, with a policy of its own, which starts and ends within ours."""

    site: Site
    ran: bool = False

    def __call__(self) -> None:
        self.ran = True
        place, folder = self.site.place, self.site.folder / "other"
        picture = read_picture(place, memory=folder, now=NOW)
        assert picture.problems == ()
        plan = plan_repository(picture, keeping(1), now=NOW, deletes_tags=self.site.by_tag)
        done = carried_out(replace(self.site, folder=folder), plan, picture)
        assert done.ok


@pytest.mark.parametrize("before", [1, 2, 4])
def test_two_cleanups_of_two_machines_at_once(site: Site, before: int) -> None:
    shared = site.stock.image("shared", days=50)
    for number in range(1, 5):
        own = site.stock.image(f"own {number}", days=60 - number)
        index = site.stock.index([own, shared], f"1.{number}", annotations={"number": str(number)})
        site.stock.cosign(index)
    newest = str(site.digest("1.4"))
    plan = plan_repository(site.read(), keeping(2), now=NOW, deletes_tags=site.by_tag)
    assert {"1.1", "1.2"} < set(plan.tags)
    other = _Other(site)
    done = site.carry_out(plan, PushingDoor(site.place, by_tag=site.by_tag, push=other, before=before))
    assert other.ran
    assert done.outcome.error is None
    signature = f"{newest.replace(':', '-')}.sig"
    assert set(site.read("last").tags) == {"1.4", signature}
    assert verify(site.place, {"1.4": newest, signature: str(site.digest(signature))}) == ()
    assert site.has(shared) == [True]
