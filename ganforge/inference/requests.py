"""Validates seeds, conditions and options, and builds a `GenerateRequest` from them."""

from typing import Any

import torch

from ganforge.hub.format import ModelInfo
from ganforge.inference.conditions import encode_conditions, num_items, take_conditions
from ganforge.inference.seeds import Seeds, resolve_seeds
from ganforge.interfaces.architecture import Architecture
from ganforge.interfaces.generation import GenerateRequest


def build_request(
    architecture: Architecture[Any],
    info: ModelInfo,
    device: torch.device,
    *,
    num_images: int | None = None,
    seeds: Seeds | None = None,
    truncation: float | None = None,
    **conditions: Any,
) -> GenerateRequest:
    """Build a request that the model can answer.

    The arguments are those of `PretrainedGan.generate`. A translation sets `source` afterwards.

    Raises:
        ConfigError: the model cannot answer the request.
        DataError: a text cannot be embedded.
    """
    options = dict(conditions)
    given, text_encoder = take_conditions(options), options.pop("text_encoder", None)
    architecture.check_request(truncation, options)
    if num_images is None and seeds is None:
        num_images = num_items(given)
    found = resolve_seeds(num_images, seeds)
    if num_images is None and len(found) == 1:
        found *= num_items(given)
    tensors: dict[str, Any] = encode_conditions(
        given, info.spec, info.conditioning, len(found), text_encoder
    )
    request = GenerateRequest(found, device, **tensors, truncation=truncation, options=options)
    if "label" in info.conditioning:
        # Drawn here, because an architecture does not know the number of classes.
        request.label = request.random_label(info.spec.num_classes)
    return request
