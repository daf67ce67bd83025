"""The optical flow of real clips, which supervises vid2vid's: a pyramid, or RAFT.

The paper's teacher is FlowNet2 (Ilg et al. 2017), whose CUDA extension does not build any more.
"""

from collections.abc import Mapping
from pathlib import Path
from typing import Any, Protocol

import torch
from torch import Tensor, nn

from ganforge.api import ConfigError
from ganforge.layers import estimate_flow

RAFT_SMALLEST, RAFT_STRIDE = 128, 8
"""What the sides of images must be for torchvision's RAFT, in pixels."""
_MARK = "feature_encoder.convnormrelu.0.weight"


class Teacher(Protocol):
    """Optical flow of pairs of images."""

    def __call__(self, current: Tensor, previous: Tensor) -> Tensor:
        """[N, C, H, W] in [-1, 1], both -> [N, 2, H, W], where each pixel of `current` was."""


class Raft:
    """torchvision's RAFT. Not an `nn.Module`, so that no checkpoint or export holds it.

    Source: Teed and Deng 2020, arXiv:2003.12039.
    """

    def __init__(self, weights: Path) -> None:
        """`weights` is a file of torchvision's weights of raft_large or raft_small.

        Raises:
            ConfigError: the file is missing, or is not one of these.
        """
        self._weights = weights
        self._network = _load(weights).eval().requires_grad_(False)

    def __call__(self, current: Tensor, previous: Tensor) -> Tensor:
        """As `Teacher`; gray images are shown in color."""
        network = self._network.to(current.device)
        with torch.no_grad(), torch.autocast(current.device.type, enabled=False):
            pair = [img.float().expand(-1, 3, -1, -1) for img in (current, previous)]
            flow: Tensor = network(*pair)[-1]
        return flow


def teacher(weights: str | None) -> Teacher:
    """RAFT with the weights of a file, or the pyramid that needs none."""
    return estimate_flow if weights is None else Raft(Path(weights))


def _load(weights: Path) -> nn.Module:
    from torchvision.models import optical_flow  # slow to import, and rarely needed

    if not weights.is_file():
        raise ConfigError(
            f"model.raft_weights: there is no file {weights}. Download torchvision's weights of "
            f"raft_large or raft_small, or leave it out: the flow of a pyramid needs no weights."
        )
    values = _read(weights)
    is_small = _MARK in values and values[_MARK].shape[0] == 32
    build = optical_flow.raft_small if is_small else optical_flow.raft_large
    # Leaves the random numbers of the networks that train alone, and is never on meta.
    with torch.random.fork_rng(devices=[]), torch.device("cpu"):
        network: nn.Module = build(weights=None)
    try:
        network.load_state_dict(values)
    except RuntimeError as err:
        raise ConfigError(
            f"model.raft_weights: {weights} holds no weights of torchvision's raft_large or "
            f"raft_small ({str(err).splitlines()[0]}). Give a file of these, or leave it out."
        ) from err
    return network


def _read(weights: Path) -> Mapping[str, Any]:
    try:
        # weights_only: a file from elsewhere runs no code.
        values = torch.load(weights, map_location="cpu", weights_only=True)
    except Exception as err:  # noqa: BLE001  # torch raises what its unpickler happens to meet
        raise ConfigError(
            f"model.raft_weights: {weights} cannot be read ({err}). Give the .pth file of "
            f"torchvision's raft_large or raft_small."
        ) from err
    if not isinstance(values, Mapping):
        raise ConfigError(
            f"model.raft_weights: {weights} holds {type(values).__name__}, not tensors by name. "
            f"Give the .pth file of torchvision's raft_large or raft_small."
        )
    return values
