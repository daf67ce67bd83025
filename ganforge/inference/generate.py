"""Runs an architecture's `generate` in batches and in full precision."""

import contextlib
from collections.abc import Iterator, Mapping
from typing import Any

import torch
from torch import Tensor, nn

from ganforge.errors import ConfigError, PluginContractError
from ganforge.interfaces.architecture import Architecture
from ganforge.interfaces.generation import GenerateRequest


def iterate_request(
    architecture: Architecture[Any],
    networks: Mapping[str, nn.Module],
    request: GenerateRequest,
    batch_size: int,
) -> Iterator[Tensor]:
    """The images of a request in batches; each batch is made when it is consumed.

    The networks are the `ema_roles` in eval mode, on the request's device; the tensors of the
    request may be on any device. The batch size does not change the images.

    Yields:
        [n, C, H, W] float32 in [-1, 1], on the CPU.

    Raises:
        ConfigError: the batch size is not positive.
        PluginContractError: the architecture does not return one image per seed.
    """
    if batch_size < 1:
        raise ConfigError(f"batch_size={batch_size}; use at least 1.")
    for start in range(0, request.size, batch_size):
        part = request.take(range(start, min(start + batch_size, request.size)))
        with torch.no_grad(), _full_float32():
            img = architecture.generate(networks, part)
        if img.ndim != 4 or img.shape[0] != part.size:
            raise PluginContractError(
                f"'{architecture.name}'.generate returned shape {list(img.shape)} for {part.size} "
                f"seeds; it must return [N, C, H, W], one image per seed."
            )
        yield img.float().clamp(-1, 1).cpu()


def run_request(
    architecture: Architecture[Any],
    networks: Mapping[str, nn.Module],
    request: GenerateRequest,
    batch_size: int,
) -> Tensor:
    """All images of a request as [N, C, H, W]; see `iterate_request`."""
    return torch.cat(list(iterate_request(architecture, networks, request, batch_size)))


@contextlib.contextmanager
def _full_float32() -> Iterator[None]:
    """Switch TF32 off: its 10-bit mantissa would make an image depend on the device."""
    before = torch.backends.cudnn.allow_tf32, torch.backends.cuda.matmul.allow_tf32
    torch.backends.cudnn.allow_tf32 = torch.backends.cuda.matmul.allow_tf32 = False
    try:
        yield
    finally:
        torch.backends.cudnn.allow_tf32, torch.backends.cuda.matmul.allow_tf32 = before
