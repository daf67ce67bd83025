"""The contract of derivations: sources of the right form, a function of the arguments alone."""

from collections.abc import Callable
from functools import partial
from typing import Any

import numpy as np
import pydantic

from ganforge.errors import ConfigError, PluginContractError
from ganforge.interfaces.derivation import Derivation, Floats

# No side is a multiple of the other, nor of a usual block size.
_SIZE = (23, 37)
_SEEDS = (0, 2**64 - 1)
_CHANNELS = (1, 3)


def check_derivation(component: type[Derivation[Any]]) -> str | None:
    """Try a derivation with its default options on small gray and RGB images.

    Returns:
        Why it cannot be tried: an option has no default. None if it keeps the contract.

    Raises:
        PluginContractError: says what is broken.
    """
    try:
        options = component.Config()
    except pydantic.ValidationError:
        return "it has options without a default"
    derivation = component(options)
    for channels in _CHANNELS:
        img = _image(channels)
        for seed in _SEEDS:
            derive = partial(derivation.derive, img, seed, 1)
            source = _check_pure(derivation, "derive()", derive, img)
            _check_form(derivation, "derive()", source, img)
            if source.shape[:2] != _SIZE:
                raise _broken(
                    derivation,
                    f"derive() changes the size {_SIZE} to {source.shape[:2]}. Training needs "
                    f"sources of the size of their images; only from_input() may change it.",
                )
            _check_from_input(derivation, img, seed)
    return None


def _image(channels: int) -> Floats:
    img = np.random.default_rng(channels).random((*_SIZE, channels), dtype=np.float32)
    # So that a derivation that writes to it is caught, where copying would hide it.
    img.flags.writeable = False
    return img


def _check_from_input(derivation: Derivation[Any], img: Floats, seed: int) -> None:
    for alpha in (None, (img[..., :1] > 0.5).astype(np.float32)):
        try:
            made = partial(derivation.from_input, img, alpha, seed, 1)
            source = _check_pure(derivation, "from_input()", made, img)
        except ConfigError:  # it may refuse images
            continue
        _check_form(derivation, "from_input()", source, img)


def _check_pure(
    derivation: Derivation[Any], method: str, make: Callable[[], Floats], img: Floats
) -> Floats:
    """The source, made twice."""
    try:
        source, again = np.array(make()), make()
    except ValueError as err:
        if "read-only" not in str(err):
            raise
        raise _broken(derivation, f"{method} writes to its image. Copy it first.") from err
    if source.tobytes() != np.asarray(again).tobytes():
        raise _broken(
            derivation,
            f"{method} gives another source for the same image, seed and frame. Draw random "
            f"numbers from np.random.default_rng((seed, frame)) only.",
        )
    return source


def _check_form(derivation: Derivation[Any], method: str, source: Floats, img: Floats) -> None:
    channels = derivation.channels(img.shape[2])
    if source.ndim != 3 or source.shape[2] != channels or source.dtype != np.float32:
        raise _broken(
            derivation,
            f"{method} gives {source.dtype} {list(source.shape)} of an image {list(img.shape)}. "
            f"Return float32 [H, W, {channels}], as channels({img.shape[2]}) says.",
        )
    low, high = float(source.min()), float(source.max())
    if not (low >= 0 and high <= 1):
        raise _broken(
            derivation, f"{method} gives values from {low:.3g} to {high:.3g}. Clip to [0, 1]."
        )


def _broken(derivation: Derivation[Any], message: str) -> PluginContractError:
    return PluginContractError(f"Derivation '{derivation.name}': {message}")
