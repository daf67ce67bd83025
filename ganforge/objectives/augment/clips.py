"""Apply changes of images to clips: all frames of a clip get the same geometry and color.

Shapes: N images or clips, T frames, C channels, H height, W width.
"""

from collections.abc import Callable

from torch import Tensor

from ganforge.errors import ShapeError

Change = Callable[[Tensor], Tensor]
"""A change of images [N, C, H, W]."""


def change_geometry(x: Tensor, change: Change) -> Tensor:
    """Apply a change that works on any number of channels: the frames are channels."""
    if x.ndim == 4:
        return change(x)
    return change(x.flatten(1, 2)).reshape(x.shape)


def change_color(x: Tensor, change: Change) -> Tensor:
    """Apply a change that works on any height: the frames are stacked to one tall image."""
    if x.ndim == 4:
        return change(x)
    num, frames, channels, height, width = x.shape
    tall = change(x.transpose(1, 2).flatten(2, 3))
    return tall.reshape(num, channels, frames, height, width).transpose(1, 2)


def check_images(name: str, img: Tensor, min_side: int = 1) -> None:
    """Refuse what the augmentation `name` cannot take as images.

    Raises:
        ShapeError: it is neither images nor clips, or too small.
    """
    if img.ndim not in (4, 5) or min(img.shape[-2:]) < min_side:
        raise ShapeError(
            f"augment '{name}' got {list(img.shape)}; it takes images [N, C, H, W] or clips "
            f"[N, T, C, H, W] with sides of at least {min_side} pixels. Pass such a tensor, or "
            f"remove `augment`."
        )


def check_along(name: str, img: Tensor, along: Tensor) -> None:
    """Refuse an `along` that cannot move with the images.

    Raises:
        ShapeError: it has another number or size of images.
    """
    if along.ndim not in (4, 5) or _size(along) != _size(img):
        raise ShapeError(
            f"augment '{name}' got images {list(img.shape)} with along={list(along.shape)}; both "
            f"need the same N, H and W. Resize the condition to the images first."
        )


def _size(x: Tensor) -> tuple[int, ...]:
    return (x.shape[0], *x.shape[-2:])
