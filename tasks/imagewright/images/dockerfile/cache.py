"""Readings kept between runs, by what they were made from: a warm plan parses nothing.

One JSON file. It is only ever a shortcut: broken, of another version or not writable, it is as if it were not there.
"""

from __future__ import annotations

import contextlib
import hashlib
import json
import os
import tempfile
from typing import TYPE_CHECKING, Any

from imagewright.images.model import BaseConfig, ContextUse, ImageUse, Reading, Remote

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence
    from pathlib import Path

FORMAT = 2  # raise it when a Reading changes, or the way one is made
MAX_ENTRIES = 5000
_sorted_json = json.JSONEncoder(sort_keys=True).encode


class ReadingCache:
    """Readings by content; `save` keeps those of this run first, and older ones while there is room."""

    def __init__(self, path: Path) -> None:
        """Load `path`; anything wrong with it is an empty cache."""
        self._path = path
        self._entries: dict[str, list[Any]] = _load(path)
        self._used: dict[str, list[Any]] = {}
        self._grown = False
        self._digests: dict[int, tuple[BaseConfig, str]] = {}  # by the identity of what it is taken of
        self._starts: dict[tuple[Any, ...], bytes] = {}

    def read(
        self,
        data: bytes,
        *,
        path: str,
        build_args: Mapping[str, str],
        target: str | None,
        platforms: Sequence[str],
        base: Callable[[str, str], BaseConfig | None],
        contexts: Mapping[str, str] | None = None,
        unknown_args: Sequence[str] = (),
    ) -> Reading:
        """`read` and `evaluate` of a Dockerfile's bytes, or what they said before; DockerfileError as theirs.

        A remembered reading counts only while `base` still answers what it answered then.
        """
        settings = (
            target or "",
            tuple(platforms),
            tuple(sorted(build_args.items())),
            tuple(sorted((contexts or {}).items())),
            tuple(sorted(unknown_args)),
        )
        start = self._starts.get(settings)
        if start is None:
            start = self._starts[settings] = json.dumps(settings).encode() + b"\0"
        key = hashlib.sha256(start + data).hexdigest()
        known = self._recall(key, base)
        if known:
            return known
        from imagewright.images.dockerfile.evaluate import evaluate
        from imagewright.images.dockerfile.syntax import read

        asked: dict[tuple[str, str], BaseConfig | None] = {}

        def ask(reference: str, platform: str) -> BaseConfig | None:
            asked[reference, platform] = base(reference, platform)
            return asked[reference, platform]

        reading = evaluate(
            read(data, path=path, syntax=build_args.get("BUILDKIT_SYNTAX")),
            build_args=build_args,
            target=target,
            platforms=platforms,
            base=ask,
            contexts=contexts,
            unknown_args=unknown_args,
        )
        answers = [[reference, platform, self._digest(config)] for (reference, platform), config in asked.items()]
        self._used[key] = [answers, to_plain(reading)]
        self._grown = True
        return reading

    def save(self) -> None:
        """Write what is new; a folder that cannot be written is no error."""
        if not self._grown:
            return
        entries = self._used | {key: entry for key, entry in self._entries.items() if key not in self._used}
        kept = dict(list(entries.items())[:MAX_ENTRIES])
        with contextlib.suppress(OSError):
            self._path.parent.mkdir(parents=True, exist_ok=True)
            handle, name = tempfile.mkstemp(dir=self._path.parent, prefix=self._path.name)
            try:
                with os.fdopen(handle, "w", encoding="utf-8", errors="surrogatepass") as file:
                    # as one text: json.dump() goes another way, which takes five times as long
                    file.write(json.dumps({"format": FORMAT, "readings": kept}, separators=(",", ":")))
                os.replace(name, self._path)  # noqa: PTH105 - a path's own replace() says the same in more words
            except BaseException:
                os.unlink(name)  # noqa: PTH108
                raise
        self._grown = False

    def _recall(self, key: str, base: Callable[[str, str], BaseConfig | None]) -> Reading | None:
        entry = self._entries.get(key)
        if entry is None:
            return None
        try:
            answers = [(reference, platform, digest) for reference, platform, digest in entry[0]]
            reading = from_plain(entry[1])
        except (AttributeError, IndexError, KeyError, TypeError, ValueError):
            return None  # somebody has written into the file
        if any(self._digest(base(reference, platform)) != digest for reference, platform, digest in answers):
            return None
        self._used[key] = entry
        return reading

    def _digest(self, config: BaseConfig | None) -> str | None:
        if config is None:
            return None
        known = self._digests.get(id(config))
        if known is None:
            digest = hashlib.sha256(_sorted_json(_plain_config(config)).encode()).hexdigest()
            known = self._digests[id(config)] = (config, digest)  # the config too: so nothing else gets its identity
        return known[1]


def to_plain(reading: Reading) -> list[Any]:
    """A reading as lists, strings and numbers."""
    return [
        [[use.reference, use.raw, use.line, use.kind] for use in reading.images],
        [
            [use.line, use.kind, use.sources, use.context, use.excludes, use.parents, use.why_whole]
            for use in reading.context
        ],
        [[remote.address, remote.line, remote.pinned] for remote in reading.remotes],
        reading.unknowns,
        reading.syntax,
        reading.stages,
        reading.unread_bases,
        {platform: _plain_config(config) for platform, config in reading.gives.items()},
    ]


def from_plain(plain: list[Any]) -> Reading:
    """The reading that `to_plain` was given."""
    images, context, remotes, unknowns, syntax, stages, unread, gives = plain
    return Reading(
        images=tuple([ImageUse(*use) for use in images]),
        context=tuple(
            [
                ContextUse(
                    line, kind, None if sources is None else tuple(sources), named, tuple(excludes), parents, why
                )
                for line, kind, sources, named, excludes, parents, why in context
            ]
        ),
        remotes=tuple([Remote(*remote) for remote in remotes]),
        unknowns=tuple((line, why) for line, why in unknowns),
        syntax=syntax,
        stages=tuple(stages),
        unread_bases=tuple(unread),
        gives={
            platform: BaseConfig(env, tuple(unknown), complete, tuple(onbuild))
            for platform, (env, unknown, complete, onbuild) in gives.items()
        },
    )


def _plain_config(config: BaseConfig) -> list[Any]:
    return [dict(config.env), config.unknown, config.complete, config.onbuild]


def _load(path: Path) -> dict[str, list[Any]]:
    try:
        document = json.loads(path.read_bytes())
    except (OSError, ValueError):
        return {}
    if not isinstance(document, dict) or document.get("format") != FORMAT:
        return {}
    readings = document.get("readings")
    return readings if isinstance(readings, dict) else {}
