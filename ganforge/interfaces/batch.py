"""What flows from the engine to an architecture's phases: networks and batches.

Shapes: N images, C channels, H height, W width, T frames. Images are float in [-1, 1].
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

import torch
from torch import Tensor, nn

from ganforge.errors import DataError


class Networks(Mapping[str, nn.Module]):
    """The networks of a run by role, as a phase sees them.

    `nets[role]` is the fastest form, which may be compiled. `nets.eager(role)` is the plain
    module: a penalty that differentiates a gradient must use it, because AOTAutograd has no
    double backward.
    """

    def __init__(
        self, modules: Mapping[str, nn.Module], compiled: Mapping[str, nn.Module] | None = None
    ) -> None:
        self._modules = dict(modules)
        self._compiled = dict(compiled or {})

    def __getitem__(self, role: str) -> nn.Module:
        # Not `or`: the truth value of a compiled module asks for its length, which raises.
        return self._compiled[role] if role in self._compiled else self._modules[role]

    def __iter__(self) -> Iterator[str]:
        return iter(self._modules)

    def __len__(self) -> int:
        return len(self._modules)

    def eager(self, role: str) -> nn.Module:
        """The uncompiled module of `role`; the same parameters as `nets[role]`."""
        return self._modules[role]

    def modules(self) -> dict[str, nn.Module]:
        """All uncompiled modules by role."""
        return dict(self._modules)


@dataclass
class Batch:
    """One slot's share of a global batch, on the device.

    Attributes:
        fields: tensors by field name. By kind: images are float [N, C, H, W] in [-1, 1]; label
            maps are one-hot [N, K, H, W], all zero for ids from K on, or int64 ids [N, 1, H, W]
            where K is 0; vectors are float32 [N, D]. Clips have an axis of frames: [N, T, ...].
            `image`, `target` and `frames` are images, `source` is an image, a label map or drawn
            poses,
            `label` is one-hot [N, num_classes], `attributes` [N, A], `text` [N, D]; the kinds of
            all others are in `ImageSpec.fields`.
        nimg: real images shown to the discriminator before this batch.
        memory: a scratch that lives for one step and is seen by all phases of this slot, so
            that a later phase can reuse what an earlier one made (detached).
        slot_state: tensors that live as long as the run, one set per slot, kept in the
            checkpoint (an image pool, say).
        reports: values recorded by `report` in the current phase, by name.
        class_counts: [num_classes] training images of each class; None when that is unknown.
    """

    fields: dict[str, Tensor]
    nimg: int = 0
    memory: dict[str, Any] = field(default_factory=dict)
    slot_state: dict[str, Tensor] = field(default_factory=dict)
    reports: dict[str, list[Tensor]] = field(default_factory=dict)
    class_counts: Tensor | None = None

    def __getitem__(self, name: str) -> Tensor:
        try:
            return self.fields[name]
        except KeyError:
            raise DataError(
                f"This batch has no field '{name}'; it has {', '.join(sorted(self.fields))}. "
                f"Name '{name}' in the architecture's `inputs` so that it is loaded."
            ) from None

    @property
    def size(self) -> int:
        """Images in this slot's share."""
        return next(iter(self.fields.values())).shape[0]

    @property
    def device(self) -> torch.device:
        """Where the tensors live."""
        return next(iter(self.fields.values())).device

    @property
    def image(self) -> Tensor:
        """[N, C, H, W] real images."""
        return self["image"]

    @property
    def label(self) -> Tensor:
        """[N, num_classes] one-hot labels; [N, 0] when unconditional."""
        found = self.fields.get("label")
        return self.image.new_zeros(self.size, 0) if found is None else found

    def draw_label(self) -> Tensor:
        """Draw [N, num_classes] one-hot labels, each class as often as in the training data.

        Classes are equally frequent where `class_counts` is None.
        """
        num_classes = self.label.shape[1]
        if num_classes == 0:
            return self.label
        counts = self.class_counts
        counts = torch.ones(num_classes, device=self.device) if counts is None else counts
        # Not torch.multinomial, which waits for a GPU to check its input.
        ends = counts.cumsum(0) / counts.sum()
        return one_hot_at(torch.rand(self.size, device=self.device), ends)

    def report(self, name: str, value: Tensor) -> None:
        """Record the mean of `value` for the log and the health monitor, without a host sync.

        Several values of one name in a phase are averaged.
        """
        self.reports.setdefault(name, []).append(value.detach().float().mean())


def one_hot_at(uniform: Tensor, ends: Tensor) -> Tensor:
    """The classes, one-hot, whose cumulative shares `ends` enclose uniforms [N] in [0, 1)."""
    index = torch.searchsorted(ends, uniform, right=True).clamp_(max=len(ends) - 1)
    return nn.functional.one_hot(index, len(ends)).float()


def full_precision(img: Tensor) -> torch.autocast:
    """Context that switches autocast off on the device of `img`."""
    # Networks are built on the meta device to be counted and checked; it has no autocast.
    device = "cpu" if img.is_meta else img.device.type
    return torch.autocast(device, enabled=False)
