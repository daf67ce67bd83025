"""Turns the fields that a loader yields into the batch of a phase."""

from collections.abc import Mapping

import torch
from torch import Tensor
from torch.nn import functional

from ganforge.errors import DataError
from ganforge.imaging.skeletons import draw_poses
from ganforge.interfaces.batch import Batch
from ganforge.interfaces.spec import FieldSpec, ImageSpec

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
    """Move one slot's fields to the device and prepare them there.

    Fields are as `SlotLoader` yields them; captions are dropped. The other arguments are those of
    `Batch`.

    Raises:
        DataError: the spec does not say what a field holds.
    """
    tensors = {name: value for name, value in fields.items() if isinstance(value, Tensor)}
    ready = {
        name: prepare_field(name, value, spec, device, channels_last=channels_last)
        for name, value in tensors.items()
    }
    state = {} if slot_state is None else slot_state
    return Batch(ready, nimg=nimg, slot_state=state, class_counts=class_counts)


def prepare_field(
    name: str,
    value: Tensor,
    spec: ImageSpec,
    device: torch.device,
    *,
    channels_last: bool = False,
) -> Tensor:
    """A field as networks see it, from what a loader yields; see `Batch.fields`.

    Args:
        name: of the field, which decides with the spec what it holds.
        value: uint8 or int32 image or label map [N, C, H, W] or [N, T, C, H, W], int64 classes
            [N], or float32 vectors. A source of poses is drawn.
        spec: of the images.
        device: where to put it.
        channels_last: memory format of still images and label maps.

    Raises:
        DataError: the spec does not say what the field holds.
    """
    value = value.to(device, non_blocking=True)
    if name == "label":
        return functional.one_hot(value, spec.num_classes).float()
    if name == "source" and spec.source_kind == "pose":
        return draw_poses(value, spec.height, spec.width)
    field = field_spec(name, spec)
    if field.kind == "vector":
        return value
    if field.kind == "labels":
        prepared = _one_hot(value, field.size)
    else:
        prepared = value.float()
    if channels_last and prepared.ndim == 4:
        prepared = prepared.contiguous(memory_format=torch.channels_last)
    if field.kind == "image":
        prepared = prepared.div(_HALF_RANGE[value.dtype]).sub(1)
    return prepared


def field_spec(name: str, spec: ImageSpec) -> FieldSpec:
    """What a field of a batch holds; any but `label`.

    Raises:
        DataError: the spec does not say.
    """
    if name in spec.fields:
        return spec.fields[name]
    if name == "source":
        return spec.source
    if name in ("image", "target", "frames"):
        return FieldSpec("image", spec.channels)
    if name in ("attributes", "text"):
        return FieldSpec("vector", 0)
    raise DataError(
        f"The batch has a field '{name}', but the image spec does not say what it holds; it knows "
        f"image, source, target, frames, label, attributes, text"
        f"{''.join(f', {known}' for known in sorted(spec.fields))}. Add it to `spec.fields`."
    )


def _one_hot(ids: Tensor, size: int) -> Tensor:
    """[N, size, H, W] float; ids from `size` on are all zero. The ids as int64 for size 0."""
    if size == 0:
        return ids.long()
    channels = torch.arange(size, device=ids.device).view(size, 1, 1)
    return (ids == channels).float()
