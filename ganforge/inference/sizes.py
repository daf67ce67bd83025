"""The sizes of translated images: kept, or resized to the model's size or another one."""

from dataclasses import dataclass
from typing import Any, Literal, get_args

from torch import Tensor

from ganforge.config.base import MAX_SIDE
from ganforge.errors import ConfigError
from ganforge.imaging.images import Resize, crop_center, pad_mirrored, resize
from ganforge.interfaces.architecture import Architecture
from ganforge.interfaces.derivation import Derivation

Size = Literal["keep", "model"] | int | tuple[int, int]
"""Size of the results: unchanged, that of the training images, a side, or (height, width)."""
_WAYS = get_args(Resize)


@dataclass(frozen=True)
class Sizing:
    """Brings images to a size that a translator takes, and its output to the requested size.

    Attributes:
        architecture: name of the translator, for messages.
        stride: heights and widths that it takes are multiples of this; None: only `model`.
        model: height and width of its training images.
        target: height and width of all results; None keeps the size of each image.
        way: how an image with another aspect ratio is resized to the target.
        is_labels: whether the images are one-hot label maps.
    """

    architecture: str
    stride: int | None
    model: tuple[int, int]
    target: tuple[int, int] | None
    way: Resize = "crop"
    is_labels: bool = False

    def check(self, height: int, width: int, what: str) -> None:
        """Refuse an image, named `what` in the message, whose size cannot be kept.

        Raises:
            ConfigError: the translator takes a single size, and this is another one.
        """
        if self.stride is None and self.target is None and (height, width) != self.model:
            raise ConfigError(
                f"{what} is {height} x {width} (height x width), but '{self.architecture}' "
                f"translates {_by(self.model)} only. Let the images be resized: size='model', and "
                f"resize='crop', 'pad' or 'stretch' (--size model --resize crop)."
            )

    def canvas(self) -> tuple[int, int]:
        """Height and width at which poses are drawn: of all results.

        Raises:
            ConfigError: the translator does not take it.
        """
        size = self.result(*self.model)
        padded = self.padded(*size)
        if padded != size:
            raise ConfigError(
                f"size={size}: '{self.architecture}' draws poses at sizes that are multiples of "
                f"{self.stride}. Use {padded} (--size {padded[0]}x{padded[1]}), or 'model'."
            )
        return size

    def result(self, height: int, width: int) -> tuple[int, int]:
        """Height and width of the translation of an image."""
        return self.target or (height, width)

    def padded(self, height: int, width: int) -> tuple[int, int]:
        """Height and width at which an image is translated."""
        height, width = self.result(height, width)
        step = self.stride or 1
        return -(-height // step) * step, -(-width // step) * step

    def before(self, derivation: Derivation[Any], img: Tensor) -> Tensor:
        """An image [C, H, W], resized if its source is to have another size.

        Sources are made at the size at which the networks see them: edges, for instance, would be
        too thin or too thick otherwise.
        """
        if self.target is None:
            return img
        return resize(img[None], *derivation.input_size(*self.target), self.way)[0]

    def fit(self, img: Tensor) -> Tensor:
        """Images [N, C, H, W] resized if requested, and padded to the stride."""
        height, width = img.shape[-2:]
        result = self.result(height, width)
        resized = resize(img, *result, self.way, is_labels=self.is_labels)
        return pad_mirrored(resized, *self.padded(height, width))

    def cut(self, img: Tensor, height: int, width: int) -> Tensor:
        """Translations [N, C, h, w] of images of a height and width, without the padding."""
        return crop_center(img, *self.result(height, width))


def resolve_sizing(
    architecture: Architecture[Any], size: Size, way: Resize | None, is_labels: bool = False
) -> Sizing:
    """Check `size` and `resize` of a translation against what an architecture can translate.

    Raises:
        ConfigError: they are unknown or out of range, they contradict each other, or the
            architecture cannot translate images of this size.
    """
    if way is not None and way not in _WAYS:
        raise ConfigError(f"resize={way!r} is unknown. Use {', '.join(map(repr, _WAYS))}.")
    if size == "keep" and way is not None:
        raise ConfigError(
            f"resize={way!r} changes nothing with size='keep'. Pass a size too, e.g. size='model' "
            f"(--size model), or leave resize out."
        )
    model = architecture.spec.height, architecture.spec.width
    target = _target(size, model)
    if architecture.stride is None and target not in (None, model):
        raise ConfigError(
            f"size={size!r}: '{architecture.name}' translates {_by(model)} only (height x width). "
            f"Use size='model'."
        )
    return Sizing(architecture.name, architecture.stride, model, target, way or "crop", is_labels)


def _target(size: Any, model: tuple[int, int]) -> tuple[int, int] | None:
    if size == "keep":
        return None
    if size == "model":
        return model
    sides = (size, size) if isinstance(size, int) else size
    is_pair = isinstance(sides, tuple | list) and len(sides) == 2
    if not is_pair or not all(isinstance(s, int) and 1 <= s <= MAX_SIDE for s in sides):
        raise ConfigError(
            f"size={size!r} is not a size. Use 'keep', 'model', a side from 1 to {MAX_SIDE} or "
            f"(height, width)."
        )
    return sides[0], sides[1]


def _by(size: tuple[int, int]) -> str:
    return f"{size[0]} x {size[1]}"
