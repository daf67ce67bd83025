"""Turns the fields that a loader yields into the batch of a phase."""

from collections.abc import Mapping

import torch
from torch import Tensor
from torch.nn import functional

from ganforge.interfaces.batch import Batch
from ganforge.interfaces.spec import ImageSpec

# The largest value of each integer type that a loader yields: 8-bit and 16-bit images.
_HALF_RANGE = {torch.uint8: 127.5, torch.int32: 32767.5}


def make_batch(
    fields: Mapping[str, Tensor],
    spec: ImageSpec,
    device: torch.device,
    *,
    channels_last: bool = True,
    nimg: int = 0,
    slot_state: dict[str, Tensor] | None = None,
    class_counts: Tensor | None = None,
) -> Batch:
    """Move one slot's fields to the device and normalize them there.

    Fields are uint8 or int32 images [N, C, H, W] or frames [N, T, C, H, W], int64 labels [N], and
    float32 vectors [N, D]; other values are dropped. The other arguments are those of `Batch`.
    """
    tensors = {name: value for name, value in fields.items() if isinstance(value, Tensor)}
    ready = {name: _prepare(t, spec, device, channels_last) for name, t in tensors.items()}
    state = {} if slot_state is None else slot_state
    return Batch(ready, nimg=nimg, slot_state=state, class_counts=class_counts)


def _prepare(tensor: Tensor, spec: ImageSpec, device: torch.device, channels_last: bool) -> Tensor:
    tensor = tensor.to(device, non_blocking=True)
    if tensor.ndim >= 4:
        half_range = _HALF_RANGE[tensor.dtype]
        if tensor.ndim == 4 and channels_last:
            tensor = tensor.to(torch.float32, memory_format=torch.channels_last)
        return tensor.float().div(half_range).sub(1)
    if tensor.dtype == torch.int64:
        return functional.one_hot(tensor, spec.num_classes).float()
    return tensor
