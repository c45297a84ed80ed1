"""Invoke tasks that keep a repository of container images.

A repository uses them with a tasks.py of one line: `from imagewright import ns`.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from imagewright.collection import ns

__all__ = ["ns"]


def __getattr__(name: str) -> Any:
    # The tasks are loaded when somebody asks for them, not with every module of the package.
    if name == "ns":
        from imagewright.collection import ns

        return ns
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
