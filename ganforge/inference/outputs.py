"""What `generate` and `translate` return: PIL images, tensors or arrays."""

from collections.abc import Callable, Mapping, Sequence
from typing import Any, Literal

import numpy as np
import torch
from numpy.typing import NDArray
from PIL import Image
from torch import Tensor

from ganforge.errors import ConfigError
from ganforge.imaging.images import to_pil, to_pixels

OutputType = Literal["pil", "pt", "np"]
"""PIL images, float tensors in [-1, 1] on the CPU, or bytes [H, W, C]."""
Output = list[Image.Image] | Tensor | NDArray[np.uint8]
_OUTPUTS: Mapping[str, Callable[[Tensor], Output]] = {
    "pil": to_pil,
    "pt": lambda img: img,
    "np": to_pixels,
}


def check_output_type(output_type: str) -> None:
    """Refuse an unknown type before anything is generated."""
    if output_type not in _OUTPUTS:
        raise ConfigError(
            f"output_type={output_type!r} is unknown. Use {', '.join(map(repr, _OUTPUTS))}."
        )


def convert_output(img: Tensor, output_type: str) -> Output:
    """Images [N, C, H, W] in [-1, 1] as the requested type."""
    return _OUTPUTS[output_type](img)


def convert_outputs(images: Sequence[Tensor], output_type: str) -> Output | list[Any]:
    """Images [C, H, W]: together if they have one size, else a list of one each."""
    if len({img.shape for img in images}) == 1:
        return convert_output(torch.stack(list(images)), output_type)
    return [convert_output(img[None], output_type)[0] for img in images]
