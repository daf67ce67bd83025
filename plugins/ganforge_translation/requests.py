"""What every translator refuses: requests without a fitting source, and penalties on latents."""

from collections.abc import Callable
from typing import NoReturn

from torch import Tensor

from ganforge.api import ConfigError, GenerateRequest, ShapeError


def checked_source(
    name: str, request: GenerateRequest, channels: int, stride: int, direction: str = ""
) -> Tensor:
    """The images [N, channels, H, W] to translate, on the device of the request.

    Args:
        name: of the architecture, for messages.
        request: of one source for each seed.
        channels: of the source.
        stride: what H and W must be multiples of.
        direction: of the translation, for messages; empty where there is only one.

    Raises:
        ShapeError: there is no source, or its shape does not fit.
    """
    if request.source is None:
        raise ShapeError(
            f"'{name}' translates images, but the request has no source. Give source "
            f"[N, C, H, W], one image per seed, or use `translate`."
        )
    shape = list(request.source.shape)
    fits = len(shape) == 4 and shape[:2] == [request.size, channels]
    if not fits or any(side % stride for side in shape[2:]):
        asks = f"{direction} of '{name}'" if direction else f"'{name}'"
        raise ShapeError(
            f"source has shape {shape}; {asks} wants [{request.size}, {channels}, H, W], one image "
            f"per seed, with H and W multiples of {stride}. Convert, crop or resize the images."
        )
    return request.source.to(request.device)


def no_latent(name: str) -> Callable[[int], NoReturn]:
    """`PenaltyInput.synthesize` of an architecture that has no latents: refuses the penalty."""

    def refuse(num: int) -> NoReturn:
        raise ConfigError(
            f"loss.regularizers: a penalty asked '{name}' for images from latents, but its "
            f"generators start from images. Remove that penalty."
        )

    return refuse
