"""Makes the sources of a translation from plain images, as its training did (`data.derive`)."""

from collections.abc import Sequence
from typing import Any

import numpy as np
from torch import Tensor

from ganforge.errors import PluginContractError, PluginNotFound, ShapeError
from ganforge.imaging.arrays import from_array, to_array
from ganforge.imaging.channels import MODES
from ganforge.imaging.images import convert_channels
from ganforge.interfaces.derivation import Derivation, Floats
from ganforge.interfaces.spec import ImageSpec
from ganforge.registry.plugins import get_registry

_SEEDS = 1 << 64


def derive_sources(
    spec: ImageSpec, img: Tensor, seeds: Sequence[int], first_frame: int = 0
) -> Tensor:
    """The sources that a model translates, made from plain images of any size.

    Transparency is composited over white; a derivation may read it, as `mask` does. The sources
    may have another size than the images: that of the translations.

    Args:
        spec: of the model; `spec.derived` says how sources are made.
        img: [N, C, H, W], or clips [N, T, C, H, W], in [-1, 1]; C is 4 for RGBA.
        seeds: [N]; one seed makes one source.
        first_frame: number of the first frame of the clips in their video.

    Returns:
        [N, c, h, w] or [N, T, c, h, w] float32 in [-1, 1] on the CPU, c = spec.source_channels.

    Raises:
        ConfigError: no source can be made from these images, or the derivation does not have the
            options that the model was trained with.
        PluginContractError: the derivation makes sources of another shape.
        PluginNotFound: no installed plugin provides the derivation; names it.
        ShapeError: the images have a number of channels that cannot be converted.
    """
    derivation = derivation_of(spec)
    num_frames = img.shape[1] if img.ndim == 5 else 1
    colors, alphas = _split_alpha(img.flatten(0, -4), spec.channels)
    sources = [
        _derive(
            derivation, spec, color, alpha, seeds[row // num_frames], row % num_frames + first_frame
        )
        for row, (color, alpha) in enumerate(zip(colors, alphas, strict=True))
    ]
    made = from_array(np.stack(sources))
    return made.reshape(*img.shape[:-3], *made.shape[1:])


def derivation_of(spec: ImageSpec) -> Derivation[Any]:
    """The derivation that made the sources of a model.

    Raises:
        ConfigError: it does not have the options that the model was trained with.
        PluginNotFound: no installed plugin provides it; names it.
    """
    assert spec.derived is not None, "call this for models with derived sources only"
    name = spec.derived.name
    try:
        return get_registry().build(Derivation, name, spec.derived.options, "spec.derived")
    except PluginNotFound as err:
        raise PluginNotFound(
            f"This model translates sources that the derivation '{name}' makes from images, and no "
            f"installed plugin provides it. Install the package that provides '{name}'; or make "
            f"the sources yourself and pass them with derive=False (--no-derive). {err}"
        ) from err


def _split_alpha(img: Tensor, channels: int) -> tuple[Floats, Sequence[Floats | None]]:
    """Images [N, H, W, channels], and the opacity that each has besides, in [0, 1]."""
    given = img.shape[1]
    if given == channels:
        return to_array(img), [None] * len(img)
    if given not in MODES or channels not in MODES:
        raise ShapeError(
            f"The images have {given} channels, the model was trained on images with {channels}. "
            f"Give images with {channels} channels."
        )
    has_alpha = given == 4
    alphas = list(to_array(img[:, 3:])) if has_alpha else [None] * len(img)
    return to_array(convert_channels(img, channels)), alphas


def _derive(
    derivation: Derivation[Any],
    spec: ImageSpec,
    color: Floats,
    alpha: Floats | None,
    seed: int,
    frame: int,
) -> Floats:
    source = np.asarray(derivation.from_input(color, alpha, seed % _SEEDS, frame))
    wanted = spec.source_channels or spec.channels
    if source.ndim != 3 or source.shape[2] != wanted:
        raise PluginContractError(
            f"The derivation '{derivation.name}' makes a source of shape {list(source.shape)} "
            f"from an image of shape {list(color.shape)}; this model translates sources "
            f"[height, width, {wanted}]. Install the version of the derivation with which the "
            f"model was trained."
        )
    return source
