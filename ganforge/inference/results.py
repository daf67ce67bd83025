"""What the sampling methods return: images in a grid, or the frames of an animation."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

from PIL import Image

from ganforge.errors import ConfigError
from ganforge.imaging.animation import check_animation, write_animation
from ganforge.imaging.grids import Names, named_grid
from ganforge.imaging.save import check_folder, write_png


@dataclass(frozen=True)
class ImageGrid:
    """Images of one size in rows and columns, with captions."""

    cells: tuple[Image.Image | None, ...]
    """Row by row; None for an empty cell."""
    columns: int
    names: Names = field(default_factory=Names)

    @property
    def images(self) -> list[Image.Image]:
        """The images, row by row."""
        return [cell for cell in self.cells if cell is not None]

    def picture(self, scale: int = 1) -> Image.Image:
        """The grid as one image, with its captions; `scale` is an integer upscaling factor."""
        _check_scale(scale)
        return named_grid(self.cells, self.columns, self.names, scale)

    def save(self, path: str | Path, *, scale: int = 1) -> Path:
        """Write the picture as PNG, as a whole or not at all.

        Raises:
            ConfigError: see `check_grid_file`.
        """
        check_grid_file(Path(path), scale)
        write_png(Path(path), self.picture(scale))
        return Path(path)


@dataclass(frozen=True)
class Animation:
    """The frames of an interpolation."""

    images: tuple[Image.Image, ...]
    """The last frame of a loop precedes its first."""
    steps: int
    """Frames from one keyframe to the next."""
    is_loop: bool

    def grid(self) -> ImageGrid:
        """A row from each keyframe to the next, both included."""
        frames = [*self.images, self.images[0]] if self.is_loop else list(self.images)
        starts = range(0, len(frames) - 1, self.steps)
        rows = [frames[start : start + self.steps + 1] for start in starts]
        return ImageGrid(tuple(image for row in rows for image in row), self.steps + 1)

    def save(self, path: str | Path, *, fps: float = 30.0, scale: int = 1) -> Path:
        """Write the grid (.png) or an animation (.gif, .mp4), as a whole or not at all.

        A GIF repeats without end. An MP4 of odd width or height gets one more pixel.
        `fps` are frames per second; `scale` is an integer upscaling factor.

        Raises:
            ConfigError: see `check_animation_file`.
        """
        target = Path(path)
        check_animation_file(target, fps, scale)
        if target.suffix.lower() == ".png":
            return self.grid().save(target, scale=scale)
        write_animation(self.images, target, fps, scale)
        return target


def check_grid_file(path: Path, scale: int) -> None:
    """Refuse what `ImageGrid.save` cannot write: the suffix, the folder or the scale is wrong."""
    if path.suffix.lower() != ".png":
        raise ConfigError(f"{path}: this picture is written as PNG. Let the name end in .png.")
    _check_scale(scale)
    check_folder(path.parent)


def check_animation_file(path: Path, fps: float, scale: int) -> None:
    """Refuse what `Animation.save` cannot write; see `check_animation` and `check_grid_file`."""
    check_animation(path, fps)
    _check_scale(scale)
    check_folder(path.parent)


def _check_scale(scale: int) -> None:
    if scale < 1:
        raise ConfigError(f"scale={scale}; use 1 or more.")


def style_grid(
    rows: Sequence[int],
    columns: Sequence[int],
    own: Sequence[Image.Image],
    mixed: Sequence[Image.Image],
    fine: str,
) -> ImageGrid:
    """Mixed images, row by row, with the seeds' own images in the first column and row.

    `own` are those of the rows, then those of the columns; `fine` is the caption of the layers
    that take the style of the column.
    """
    cells: list[Image.Image | None] = [None, *own[len(rows) :]]
    for row in range(len(rows)):
        cells += [own[row], *mixed[row * len(columns) : (row + 1) * len(columns)]]
    names = Names(
        rows=("", *(f"seed {seed}" for seed in rows)),
        columns=(fine, *(f"seed {seed}" for seed in columns)),
    )
    return ImageGrid(tuple(cells), len(columns) + 1, names)


def arithmetic_grid(
    terms: Sequence[tuple[float, Sequence[int]]],
    own: Sequence[Image.Image],
    means: Sequence[Image.Image],
) -> ImageGrid:
    """A column for each term (factor, seeds): the images of its seeds, then their mean.

    `own` are the images of all seeds; `means` those of the means and, for the last column, of the
    result.
    """
    left = iter(own)
    columns = [[(next(left), f"seed {seed}") for seed in seeds] for _, seeds in terms]
    depth = max(len(column) for column in columns)
    if depth == 1:
        last = [caption for ((_, caption),) in columns]
        rows = []
    else:
        last = ["mean"] * len(terms)
        rows = [
            [*(column[row] if row < len(column) else (None, "") for column in columns), (None, "")]
            for row in range(depth)
        ]
    rows.append(list(zip(means, [*last, "result"], strict=True)))
    heads = [_head(index, factor) for index, (factor, _) in enumerate(terms)]
    names = Names((), (*heads, "="), tuple(caption for row in rows for _, caption in row))
    return ImageGrid(tuple(cell for row in rows for cell, _ in row), len(terms) + 1, names)


def _head(index: int, factor: float) -> str:
    sign = "-" if factor < 0 else "+" if index else ""
    size = "" if abs(factor) == 1 else f"{abs(factor):g} "
    return f"{sign} {size}{chr(ord('a') + index % 26)}".strip()
