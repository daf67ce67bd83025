"""A sheet of translations beside their sources and, if there are any, their targets."""

from collections.abc import Sequence

from PIL import Image
from torch import Tensor

from ganforge.errors import ConfigError
from ganforge.imaging.grids import Names, named_grid, opaque
from ganforge.imaging.images import to_pil
from ganforge.imaging.showable import colored, showable

_SIDE = 256
"""Longest side of a cell."""


class ComparisonSheet:
    """Rows of source, output and target, which are reduced to thumbnails as they come."""

    def __init__(self, *, of_labels: bool = False, max_rows: int = 16) -> None:
        """An empty sheet; `of_labels` for sources that are one-hot label maps."""
        self.of_labels = of_labels
        self.max_rows = max_rows
        self._rows: list[list[Image.Image | None]] = []
        self._names: list[str] = []

    @property
    def is_full(self) -> bool:
        """Whether further rows are left out."""
        return len(self._rows) >= self.max_rows

    def add(self, source: Tensor, output: Tensor, target: Tensor | None, name: str = "") -> None:
        """Add a row of images [C, H, W] in [-1, 1], unless the sheet is full."""
        if not self.is_full:
            images = (colored(source) if self.of_labels else source, output, target)
            self._rows.append([None if img is None else _thumbnail(img) for img in images])
            self._names.append(name)

    def draw(self) -> Image.Image:
        """The sheet; without a column of targets if there are none.

        Raises:
            ConfigError: there are no rows.
        """
        if not self._rows:
            raise ConfigError("There are no translations to compare. Give at least one image.")
        has_targets = any(row[-1] is not None for row in self._rows)
        columns = ("source", "output", "target")[: 3 if has_targets else 2]
        cells = [cell for row in self._rows for cell in row[: len(columns)]]
        names = Names(rows=tuple(self._names) if any(self._names) else (), columns=columns)
        return named_grid(_centered(cells), len(columns), names)


def _thumbnail(img: Tensor) -> Image.Image:
    (image,) = map(opaque, to_pil(showable(img)[None]))
    image.thumbnail((_SIDE, _SIDE))
    return image


def _centered(cells: Sequence[Image.Image | None]) -> list[Image.Image | None]:
    """The images on white cells of one size."""
    images = [cell for cell in cells if cell is not None]
    width, height = (max(image.size[axis] for image in images) for axis in (0, 1))
    placed: list[Image.Image | None] = []
    for cell in cells:
        if cell is not None:
            canvas = Image.new("RGB", (width, height), "white")
            canvas.paste(cell, ((width - cell.width) // 2, (height - cell.height) // 2))
            cell = canvas
        placed.append(cell)
    return placed
