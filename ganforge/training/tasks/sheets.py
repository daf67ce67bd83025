"""Sheets of translations: sources, outputs and targets side by side; video also as animation.

Shapes: N samples, T frames of a clip. A block is one direction: images [N, C, H, W] or clips
[N, T, C, H, W] by the name of their column, ready to be shown.
"""

from collections.abc import Mapping, Sequence

import torch
from PIL import Image
from torch import Tensor
from torch.nn import functional

from ganforge.imaging.grids import Names, named_grid, stack
from ganforge.imaging.images import to_pil
from ganforge.imaging.showable import colored, showable
from ganforge.interfaces.spec import ImageSpec

Block = Mapping[str, Tensor]
MAX_FRAMES = 64
"""Of an animation: a GIF of more would be very large."""


def make_block(
    source: Tensor, output: Tensor, target: Tensor | None, direction: str, spec: ImageSpec
) -> Block:
    """The columns of a direction; `target` is None where data are unpaired.

    Fields are as a batch holds them, on any device.
    """
    first, last = direction.split("_to_")
    columns = {first: _show(source, first, spec), "output": _show(output, last, spec)}
    if target is not None:
        columns[last] = _show(target, last, spec)
    height, width = output.shape[-2:]
    return {name: _resized(img, height, width).cpu() for name, img in columns.items()}


def sheet(blocks: Sequence[Block], grid: tuple[int, int]) -> Image.Image:
    """A still picture, one direction below the other.

    `grid` are the rows and columns of images in a block, about. Of video, some frames of each clip
    are shown in a row.
    """
    draw = _clip_rows if _is_video(blocks) else _image_rows
    return stack([draw(block, grid) for block in blocks])


def animation(blocks: Sequence[Block], grid: tuple[int, int]) -> list[Image.Image]:
    """The frames of an animated sheet, with one clip a row; none of still images."""
    if not _is_video(blocks):
        return []
    count = _num_clips(blocks[0], grid)
    return [
        stack([_image_rows(_frame(block, count, number), (count, 1)) for block in blocks])
        for number in range(min(_num_frames(blocks[0]), MAX_FRAMES))
    ]


def _show(img: Tensor, field: str, spec: ImageSpec) -> Tensor:
    is_labels = field == "source" and spec.source_kind == "labels"
    return colored(img) if is_labels else showable(img)


def _resized(img: Tensor, height: int, width: int) -> Tensor:
    if img.shape[-2:] == (height, width):
        return img
    frames = functional.interpolate(img.flatten(0, -4), (height, width), mode="nearest")
    return frames.reshape(*img.shape[:-2], height, width)


def _first(block: Block) -> Tensor:
    return next(iter(block.values()))


def _is_video(blocks: Sequence[Block]) -> bool:
    return blocks[0]["output"].ndim == 5


def _frame(block: Block, count: int, number: int) -> Block:
    """Frame `number` of the first `count` clips; still images as they are."""
    return {n: img[:count, number] if img.ndim == 5 else img[:count] for n, img in block.items()}


def _num_frames(block: Block) -> int:
    return block["output"].shape[1]


def _num_clips(block: Block, grid: tuple[int, int]) -> int:
    return min(len(_first(block)), max(1, grid[0] // len(block)))


def _image_rows(block: Block, grid: tuple[int, int]) -> Image.Image:
    """Several samples a row, each with all its columns."""
    per_row = min(max(1, grid[1] // len(block)), len(_first(block)))
    count = min(grid[0] * per_row, len(_first(block)))
    columns = [to_pil(img[:count]) for img in block.values()]
    cells = [image for sample in zip(*columns, strict=True) for image in sample]
    return named_grid(cells, per_row * len(block), Names(columns=(*block,) * per_row))


def _clip_rows(block: Block, grid: tuple[int, int]) -> Image.Image:
    """One row for each column of each clip, with frames from its first to its last."""
    count, num_frames = _num_clips(block, grid), _num_frames(block)
    shown = torch.linspace(0, num_frames - 1, min(num_frames, grid[1])).round().int().tolist()
    frames = [_frame(block, count, number) for number in shown]
    cells = [
        to_pil(frame[name][clip : clip + 1])[0]
        for clip in range(count)
        for name in block
        for frame in frames
    ]
    numbers = tuple(str(number) for number in shown)
    return named_grid(cells, len(shown), Names(rows=(*block,) * count, columns=numbers))
