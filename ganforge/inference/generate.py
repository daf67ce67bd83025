"""Runs an architecture's `generate` in batches and in full precision."""

from collections.abc import Iterator, Mapping
from typing import Any

import torch
from torch import Tensor, nn

from ganforge.errors import ConfigError, PluginContractError
from ganforge.interfaces.architecture import Architecture
from ganforge.interfaces.generation import GenerateRequest
from ganforge.interfaces.numerics import tf32


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
        [n, C, H, W] float32 in [-1, 1], on the CPU; for whole clips [n, T, C, H, W].

    Raises:
        ConfigError: the batch size is not positive.
        PluginContractError: the architecture does not return one image per seed.
    """
    check_batch_size(batch_size)
    for start in range(0, request.size, batch_size):
        part = request.take(range(start, min(start + batch_size, request.size)))
        yield run_batch(architecture, networks, part)


def run_request(
    architecture: Architecture[Any],
    networks: Mapping[str, nn.Module],
    request: GenerateRequest,
    batch_size: int,
) -> Tensor:
    """All images of a request as [N, C, H, W]; see `iterate_request`."""
    return torch.cat(list(iterate_request(architecture, networks, request, batch_size)))


def run_batch(
    architecture: Architecture[Any], networks: Mapping[str, nn.Module], request: GenerateRequest
) -> Tensor:
    """The images of a request whose tensors are on its device; see `iterate_request`.

    Raises:
        PluginContractError: the architecture does not return one image per seed, or changes the
            size or the number of frames of what it translates.
    """
    with torch.no_grad(), tf32(False):
        img = architecture.generate(networks, request)
    wanted = [request.size, "C", "H", "W"]
    if request.source is not None:
        wanted = [*request.source.shape[:-3], "C", *request.source.shape[-2:]]
    if img.ndim != len(wanted) or any(
        size not in (found, "C", "H", "W") for size, found in zip(wanted, img.shape, strict=True)
    ):
        raise PluginContractError(
            f"'{architecture.name}'.generate returned shape {list(img.shape)} for {request.size} "
            f"seeds; it must return [{', '.join(map(str, wanted))}], one image per seed."
        )
    return img.float().clamp(-1, 1).cpu()


def check_batch_size(batch_size: int) -> None:
    """Refuse a batch without images."""
    if batch_size < 1:
        raise ConfigError(f"batch_size={batch_size}; use at least 1.")
