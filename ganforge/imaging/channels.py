"""Channels of images, as arrays or tensors: 1 gray, 3 RGB, 4 RGBA. Imports no torch."""

from typing import TYPE_CHECKING, Any, TypeVar

from numpy.typing import NDArray

if TYPE_CHECKING:
    from torch import Tensor

MODES = {1: "L", 3: "RGB", 4: "RGBA"}
"""PIL's mode for each number of channels."""
LUMA = (0.299, 0.587, 0.114)
"""Weights of red, green and blue in gray: ITU-R BT.601, as in PIL's conversion to gray."""
ArrayT = TypeVar("ArrayT", NDArray[Any], "Tensor")


def composite(color: ArrayT, alpha: ArrayT, background: ArrayT | float) -> ArrayT:
    """`color` over an opaque `background`; alpha is in [0, 1]. Shapes broadcast."""
    mixed: ArrayT = color * alpha + background * (1 - alpha)
    return mixed
