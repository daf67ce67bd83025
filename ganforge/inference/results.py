"""What the sampling methods return: images in rows and columns, to look at or to save."""

from dataclasses import dataclass, field
from pathlib import Path

from PIL import Image

from ganforge.errors import ConfigError
from ganforge.imaging.animation import check_animation, write_animation
from ganforge.imaging.grids import Names, named_grid
from ganforge.imaging.save import write_png


@dataclass(frozen=True)
class Sheet:
    """Images row by row.

    Attributes:
        cells: PIL images of one size; None where the sheet is empty.
        columns: cells in a row.
        names: what stands at rows, columns and cells.
    """

    cells: tuple[Image.Image | None, ...]
    columns: int
    names: Names = field(default_factory=Names)

    @property
    def images(self) -> list[Image.Image]:
        """The images, row by row."""
        return [cell for cell in self.cells if cell is not None]

    def picture(self, scale: int = 1) -> Image.Image:
        """All in one image with the names at its edges.

        Args:
            scale: each image is enlarged this many times.
        """
        return named_grid(self.cells, self.columns, self.names, check_scale(scale))

    def save(self, path: str | Path, *, scale: int = 1) -> Path:
        """Write the picture as PNG; the file appears when it is whole.

        Raises:
            ConfigError: the path does not end in .png.
        """
        target = check_png(Path(path))
        write_png(target, self.picture(scale))
        return target


@dataclass(frozen=True)
class Film:
    """The frames of an interpolation.

    Attributes:
        images: PIL images of one size, in order. A loop's last one is the step before its first.
        steps: frames from one key frame to the next.
        is_loop: whether the frames go back to the first.
    """

    images: tuple[Image.Image, ...]
    steps: int
    is_loop: bool

    def sheet(self) -> Sheet:
        """A row for each pair of key frames, both of them in it."""
        frames = [*self.images, self.images[0]] if self.is_loop else list(self.images)
        starts = range(0, len(frames) - 1, self.steps)
        rows = [frames[start : start + self.steps + 1] for start in starts]
        return Sheet(tuple(image for row in rows for image in row), self.steps + 1)

    def picture(self, scale: int = 1) -> Image.Image:
        """The strip."""
        return self.sheet().picture(scale)

    def save(self, path: str | Path, *, fps: float = 30.0, scale: int = 1) -> Path:
        """Write a strip (.png) or a moving picture (.gif, .mp4); it appears when it is whole.

        A GIF repeats without end. An MP4 of odd width or height is one pixel wider or higher.

        Args:
            path: the ending says what to write.
            fps: frames per second.
            scale: each image is enlarged this many times.

        Raises:
            ConfigError: an unknown ending, or PyAV is missing for an MP4.
        """
        target = Path(path)
        check_animation(target, fps)
        if target.suffix.lower() == ".png":
            return self.sheet().save(target, scale=scale)
        write_animation(self.images, target, fps, check_scale(scale))
        return target


def check_png(path: Path) -> Path:
    """The path, known to end in .png.

    Raises:
        ConfigError: it does not.
    """
    if path.suffix.lower() != ".png":
        raise ConfigError(f"{path}: this picture is written as PNG. Let the name end in .png.")
    return path


def check_scale(scale: int) -> int:
    """The scale, known to be positive.

    Raises:
        ConfigError: it is not.
    """
    if scale < 1:
        raise ConfigError(f"scale={scale}; use 1 or more.")
    return scale
