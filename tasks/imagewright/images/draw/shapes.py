"""What a picture is made of: boxes, frames and lines with their places. Sizes are in pixels, y grows downwards."""

from __future__ import annotations

from dataclasses import dataclass
from math import sqrt
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Sequence

CHARACTER = 7.25  # the width of one in a 12 px monospaced font
BOX_HEIGHT = 28.0
PADDING = 12.0
GAP = 10.0


@dataclass(frozen=True, slots=True)
class Box:
    """One image."""

    name: str
    x: float
    y: float
    width: float


@dataclass(frozen=True, slots=True)
class Frame:
    """What is drawn around the images of a shared block."""

    x: float
    y: float
    width: float
    height: float


@dataclass(frozen=True, slots=True)
class Line:
    """From (x, y) straight on to `bend`, then in a curve to (end_x, end_y)."""

    x: float
    y: float
    bend: float
    end_x: float
    end_y: float
    head: bool  # it ends at an image, with an arrow's head
    solid: bool


@dataclass(frozen=True, slots=True)
class Layout:
    """The finished picture; its upper left corner is (0, 0)."""

    boxes: tuple[Box, ...]
    frames: tuple[Frame, ...]
    lines: tuple[Line, ...]
    width: float
    height: float


class Block:
    """One image, or a framed grid of them, filled column by column."""

    def __init__(self, names: Sequence[str], *, framed: bool, room: float = 0.0) -> None:
        self.names = names
        self.framed = framed
        self.cell = max(len(name) for name in names) * CHARACTER + 2 * PADDING
        pitch, row = self.cell + GAP, BOX_HEIGHT + GAP
        columns = max(1, round(sqrt(1.6 * len(names) * row / pitch)), int(room // pitch))
        self.rows = -(-len(names) // columns)
        columns = -(-len(names) // self.rows)
        edge = PADDING if framed else 0.0
        self.width = columns * pitch - GAP + 2 * edge
        self.height = self.rows * row - GAP + 2 * edge

    def at(self, x: float, y: float) -> tuple[list[Box], list[Frame]]:
        edge = PADDING if self.framed else 0.0
        boxes = [
            Box(
                name,
                x + edge + number // self.rows * (self.cell + GAP),
                y + edge + number % self.rows * (BOX_HEIGHT + GAP),
                self.cell,
            )
            for number, name in enumerate(self.names)
        ]
        return boxes, [Frame(x, y, self.width, self.height)] if self.framed else []
