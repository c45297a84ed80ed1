"""What is asked of one build."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from imagewright.builds.bake import Output


@dataclass(frozen=True, slots=True, kw_only=True)
class Request:
    """The options of `invoke build`, as values."""

    output: Output
    tags: tuple[str, ...]  # empty: the policy's
    platforms: tuple[str, ...]  # empty: the images' own
    build_args: tuple[tuple[str, str], ...]
    secret_build_args: tuple[str, ...]  # names whose values stay in the environment
    no_cache: bool
    builder: str | None
    progress: str
    jobs: int | None = None  # how many images build at once; None: as configured
    fail_fast: bool = False  # whether the first failure ends the run
    by_digest: bool = False  # whether what is pushed gets no tag: another machine joins it with other platforms
    digests: str = ""  # where that one finds it: a folder, or `registry`
    summary: str | None = None  # a file that gets the result as Markdown
    timeline: str | None = None  # a file that gets the page with the time line
    allow_downgrade: bool = False  # whether aliases, latest and stable may go back to something older
