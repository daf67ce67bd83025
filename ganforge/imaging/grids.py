"""Pictures of many images: grids with labels, and stacks. PIL in, PIL out."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from PIL import Image, ImageDraw, ImageFont, ImageOps

from ganforge.errors import ConfigError
from ganforge.imaging.resize import flatten_alpha

_GAP = 2
_FONT_SIZE = 12
_LINE = _FONT_SIZE + 4
_MAX_SIDE = 65535
"""The longest side of a GIF, and of what common viewers open."""
_MAX_PIXELS = 2**28
"""768 MiB as RGB; larger pictures would take minutes to draw."""


@dataclass(frozen=True)
class Names:
    """The labels left of each row, above each column, and below each cell, row by row."""

    rows: tuple[str, ...] = ()
    columns: tuple[str, ...] = ()
    cells: tuple[str, ...] = ()


def check_size(width: int, height: int) -> None:
    """Refuse a picture that is too large to draw; the message says what to lower."""
    if max(width, height) > _MAX_SIDE or width * height > _MAX_PIXELS:
        raise ConfigError(
            f"The picture would be {width} x {height} pixels; at most {_MAX_SIDE} a side and "
            f"{_MAX_PIXELS} in all are drawn. Use a smaller scale, or fewer images or steps."
        )


def named_grid(
    cells: Sequence[Image.Image | None], columns: int, names: Names | None = None, scale: int = 1
) -> Image.Image:
    """A grid of images of one size on white, row by row, with optional labels.

    A cell of None stays empty. `scale` is an integer upscaling factor of each image.
    """
    names = names or Names()
    width, height = next(cell.size for cell in cells if cell is not None)
    size = (width * scale, height * scale)
    layout = _Layout(size, columns, -(-len(cells) // columns), names)
    check_size(*layout.size)
    modes = {cell.mode for cell in cells if cell is not None}
    mode = modes.pop() if len(modes) == 1 else "RGB"
    picture = Image.new(mode, layout.size, "white")
    draw = ImageDraw.Draw(picture)
    for index, cell in enumerate(cells):
        left, top = layout.place(index)
        if cell is not None:
            shown = cell if cell.mode == mode else opaque(cell)
            shown = ImageOps.scale(shown, scale, Image.Resampling.NEAREST)
            picture.paste(shown, (left, top))
        if index < len(names.cells):
            layout.write(draw, names.cells[index], (left, top + size[1]))
    for index, name in enumerate(names.columns):
        layout.write(draw, name, (layout.place(index)[0], 0))
    for index, name in enumerate(names.rows):
        top = layout.place(index * columns)[1] + (size[1] - _LINE) // 2
        draw.text((_GAP, top), name, fill="black", font=_font())
    return picture


class _Layout:
    """The positions of a grid's cells; without labels they touch."""

    def __init__(self, cell: tuple[int, int], columns: int, rows: int, names: Names) -> None:
        self.gap = _GAP if names != Names() else 0
        self.columns = columns
        self.left = _widest(names.rows) + (2 * _GAP if names.rows else 0)
        self.top = _LINE if names.columns else 0
        self.cell = cell
        # A column is as wide as its longest label.
        self.width = max(cell[0], _widest((*names.columns, *names.cells)) + 2 * self.gap)
        self.height = cell[1] + (_LINE if names.cells else 0)
        self.size = (
            self.left + columns * (self.width + self.gap) - self.gap,
            self.top + rows * (self.height + self.gap) - self.gap,
        )

    def place(self, index: int) -> tuple[int, int]:
        """Left and top of a cell's image."""
        row, column = divmod(index, self.columns)
        indent = (self.width - self.cell[0]) // 2
        return (
            self.left + column * (self.width + self.gap) + indent,
            self.top + row * (self.height + self.gap),
        )

    def write(self, draw: ImageDraw.ImageDraw, text: str, corner: tuple[int, int]) -> None:
        """Write a line centered on the column of a cell."""
        left = corner[0] + (self.cell[0] - _width(text)) // 2
        draw.text((left, corner[1]), text, fill="black", font=_font())


def stack(parts: Sequence[Image.Image]) -> Image.Image:
    """Pictures one below the other, in RGB on white."""
    picture = Image.new("RGB", (max(p.width for p in parts), sum(p.height for p in parts)), "white")
    top = 0
    for part in parts:
        picture.paste(opaque(part), (0, top))
        top += part.height
    return picture


def opaque(image: Image.Image) -> Image.Image:
    """The image in RGB, with transparency over white."""
    if image.mode == "RGB":
        return image
    return Image.fromarray(flatten_alpha(np.asarray(image.convert("RGBA")), 255.0))


def _font() -> ImageFont.FreeTypeFont | ImageFont.ImageFont:
    return ImageFont.load_default(_FONT_SIZE)


def _width(text: str) -> int:
    return int(_font().getlength(text)) + 1 if text else 0


def _widest(texts: Sequence[str]) -> int:
    return max(map(_width, texts), default=0)
