"""Requests for images: seeds, conditions, and latents between seeds.

Shapes: N images, C channels, H height, W width, T frames. Images are float in [-1, 1].
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, Literal

import numpy as np
import torch
from torch import Tensor

from ganforge.errors import ShapeError
from ganforge.interfaces import blending
from ganforge.interfaces.batch import one_hot_at
from ganforge.interfaces.conditions import CONDITIONS

_PER_IMAGE = (*CONDITIONS, "source")
_Kind = Literal["normal", "uniform"]
_TORCH_SEEDS, _TORCH_STREAMS = range(2**24), range(-1, 255)
"""What fits into the 32 bits that torch's generator on the CPU takes of a seed."""
_FRAME_STREAMS = 2**20
"""Streams of each frame."""


@dataclass
class GenerateRequest:
    """A request for one image per seed, with its conditions.

    Attributes:
        seeds: one integer per image. A seed gives the same image in any batch, on any device.
        label: [N, num_classes] one-hot labels; None draws them from the seeds.
        attributes: [N, A] attribute vectors.
        text: [N, D] caption embeddings.
        source: [N, C, H, W] images to translate; for video [N, T, C, H, W], the next frames of N
            clips.
        fields: further fields of each image, tensors [N, ...] as `Batch.fields` holds them.
        truncation: truncation psi or threshold; None means no truncation.
        options: the architecture's `generate_options`.
        blend: latents between seeds, used instead of those of `seeds`.
        frame_index: number of the first frame of `source` in its clip.
        state: what `generate` keeps for the next chunk of the same clips, tensors [N, ...] by
            name; empty at the start of the clips. `generate` may replace its entries.
    """

    seeds: Sequence[int]
    device: torch.device = field(default_factory=lambda: torch.device("cpu"))
    label: Tensor | None = None
    attributes: Tensor | None = None
    text: Tensor | None = None
    source: Tensor | None = None
    fields: dict[str, Tensor] = field(default_factory=dict)
    truncation: float | None = None
    options: dict[str, Any] = field(default_factory=dict)
    blend: "Blend | None" = None
    frame_index: int = 0
    state: dict[str, Tensor] = field(default_factory=dict)

    @property
    def size(self) -> int:
        """Number of images."""
        return len(self.seeds)

    def noise(self, *shape: int, stream: int = 0, is_latent: bool = True) -> Tensor:
        """Draw [N, *shape] standard normals, row n from seed n.

        Draws of different `stream` numbers, 0 to 2^20 - 1, are independent. Between seeds, latents
        follow the path of `blend`, while noise that only adds detail (not `is_latent`) keeps unit
        variance.
        """
        if self.blend is None:
            return self._draw("normal", shape, stream)
        drawn = [part.noise(*shape, stream=stream) for part in self.blend.parts]
        is_path = is_latent and self.blend.space == "z"
        return self.blend.combine(drawn) if is_path else self.blend.combine_detail(drawn)

    def frame_noise(self, frame: int, *shape: int, stream: int = 0) -> Tensor:
        """Draw [N, *shape] standard normals for one frame of `source`, counted from 0.

        The draws depend on the number of the frame in its clip, so that the size of the chunks
        does not change them. No two frames share a draw.
        """
        number = (1 + self.frame_index + frame) * _FRAME_STREAMS + stream
        return self.noise(*shape, stream=number, is_latent=False)

    def uniform(self, *shape: int, stream: int = 0) -> Tensor:
        """Draw [N, *shape] uniforms in [0, 1), row n from seed n."""
        if self.blend is None:
            return self._draw("uniform", shape, stream)
        drawn = [part.uniform(*shape, stream=stream) for part in self.blend.parts]
        return self.blend.combine_uniform(drawn)

    def blended(self, space: str, draw: Callable[["GenerateRequest"], Tensor]) -> Tensor:
        """Latents of a space: `draw(self)`, or a blend of the draws of several seeds.

        An architecture calls it for each of its `latent_spaces` except z: mapped latents, ...

        `draw` gives latents [N, ...] of which row n depends on row n of the request only.
        """
        if self.blend is None or self.blend.space != space:
            return draw(self)
        return self.blend.combine([draw(part) for part in self.blend.parts])

    def take(self, rows: Sequence[int]) -> "GenerateRequest":
        """The request for these rows, in this order, with its tensors on its device.

        It has its own `state`: what `generate` keeps there does not reach this request.
        """
        chosen = list(rows)
        cut: dict[str, Any] = {"seeds": [self.seeds[row] for row in rows]}
        cut["state"] = {name: value[chosen] for name, value in self.state.items()}
        cut["fields"] = {n: value[chosen].to(self.device) for n, value in self.fields.items()}
        for name in _PER_IMAGE:
            value = getattr(self, name)
            cut[name] = None if value is None else value[chosen].to(self.device)
        return replace(self, **cut, blend=None if self.blend is None else self.blend.take(rows))

    def random_label(self, num_classes: int, counts: Sequence[int] = ()) -> Tensor:
        """The requested labels, or labels drawn from the seeds: [N, num_classes] one-hot.

        `counts` are the relative frequencies of the classes; empty for equal frequencies.
        """
        if self.label is not None:
            if self.label.shape != (self.size, num_classes):
                raise ShapeError(
                    f"label has shape {list(self.label.shape)}; this model wants "
                    f"[{self.size}, {num_classes}]: one one-hot row per seed."
                )
            return self.label.to(self.device)
        if num_classes == 0:
            return torch.zeros(self.size, 0, device=self.device)
        if self.blend is not None:
            return self.blend.mean([part.random_label(num_classes) for part in self.blend.parts])
        shares = torch.tensor(counts or [1] * num_classes, dtype=torch.float64)
        ends = (shares.cumsum(0) / shares.sum()).to(self.device, torch.float32)
        return one_hot_at(self.uniform(stream=-1), ends)

    def _draw(self, kind: _Kind, shape: tuple[int, ...], stream: int) -> Tensor:
        # Drawn on the CPU so that a seed means the same image on every device.
        rows = [_draw_row(kind, shape, int(seed), stream) for seed in self.seeds]
        drawn = torch.stack(rows) if rows else torch.empty(0, *shape)
        return drawn.to(self.device)


def _draw_row(kind: _Kind, shape: tuple[int, ...], seed: int, stream: int) -> Tensor:
    """The draw of a seed and a stream, which no other pair of them has."""
    if seed in _TORCH_SEEDS and stream in _TORCH_STREAMS:
        generator = torch.Generator().manual_seed((seed << 8) | (stream & 0xFF))
        sampler = torch.randn if kind == "normal" else torch.rand
        return sampler(shape, generator=generator)
    # torch would cut these to 32 bits, so that seed 2^24 would be seed 0 again.
    key = np.array([seed, stream % 2**64], dtype=np.uint64)
    philox = np.random.Generator(np.random.Philox(key=key))
    drawn = (philox.standard_normal if kind == "normal" else philox.random)(shape, np.float32)
    return torch.as_tensor(drawn)


@dataclass(frozen=True)
class Blend:
    """Latents between seeds: each of N images combines the latents of K seeds.

    Attributes:
        parts: K requests without a blend, of N seeds each.
        weights: [K, N]; or [K, N, L] by layer, in a space of latents [N, L, ...].
        space: the latent space in which they are combined; z is that of plain draws.
        is_spherical: interpolate along the sphere from the first of two parts to the second, by
            `weights[1]`.
    """

    parts: tuple[GenerateRequest, ...]
    weights: Tensor
    space: str = "z"
    is_spherical: bool = False

    def combine(self, values: Sequence[Tensor]) -> Tensor:
        """Combine the latents of the K parts to latents [N, ...]."""
        if self.is_spherical:
            start, end = values
            return blending.spherical(start, end, self.weights[1])
        return blending.linear(values, self.weights)

    def combine_detail(self, values: Sequence[Tensor]) -> Tensor:
        """Combine normal draws to standard normals [N, ...]; by the weights of layer 0."""
        return blending.linear(values, blending.unit_variance(self._of_images()))

    def combine_uniform(self, values: Sequence[Tensor]) -> Tensor:
        """Combine uniform draws; along the sphere as normals of equal quantiles, so uniform."""
        if self.is_spherical:
            return blending.to_uniform(self.combine([blending.to_normal(v) for v in values]))
        # About their mean, as a latent of U[-1, 1] is.
        return self.mean([value - 0.5 for value in values]) + 0.5

    def mean(self, values: Sequence[Tensor]) -> Tensor:
        """The weighted sum [N, ...], on any path, e.g. of labels."""
        return blending.linear(values, self._of_images())

    def _of_images(self) -> Tensor:
        """The weights [K, N]: those of layer 0 where they are by layer."""
        return self.weights if self.weights.ndim == 2 else self.weights[..., 0]

    def take(self, rows: Sequence[int]) -> "Blend":
        """The blend for these rows."""
        parts = tuple(part.take(rows) for part in self.parts)
        return replace(self, parts=parts, weights=self.weights[:, list(rows)])
