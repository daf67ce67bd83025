"""What to generate: seeds and conditions, and latents between seeds.

Shapes: N images, C channels, H height, W width, T frames. Images are float in [-1, 1].
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import torch
from torch import Tensor, nn

from ganforge.errors import ShapeError
from ganforge.interfaces import blending

_PER_IMAGE = ("label", "attributes", "text", "source")


@dataclass
class GenerateRequest:
    """What to generate: one image per seed, and the conditions an architecture understands.

    Attributes:
        seeds: one integer per image; it fixes the image whatever the batch or device.
        device: where to generate.
        label: [N, num_classes] one-hot labels, or None for the architecture's own draw.
        attributes: [N, A] attribute vectors.
        text: [N, D] caption embeddings.
        source: [N, C, H, W] images to translate; for video [N, T, C, H, W].
        truncation: truncation psi (or threshold); None leaves the latent as it is.
        options: anything else an architecture offers, by name; it refuses the unknown.
        blend: latents between seeds, in place of those of `seeds`; None for the seeds' own.
    """

    seeds: Sequence[int]
    device: torch.device = field(default_factory=lambda: torch.device("cpu"))
    label: Tensor | None = None
    attributes: Tensor | None = None
    text: Tensor | None = None
    source: Tensor | None = None
    truncation: float | None = None
    options: dict[str, Any] = field(default_factory=dict)
    blend: "Blend | None" = None

    @property
    def size(self) -> int:
        """Number of images asked for."""
        return len(self.seeds)

    def noise(self, *shape: int, stream: int = 0, is_latent: bool = True) -> Tensor:
        """Draw [N, *shape] standard normals, each row from its own seed.

        Args:
            shape: shape of one row.
            stream: which of a seed's independent draws; give each use its own number.
            is_latent: False for fine detail that says nothing of the content. Between seeds,
                latents follow the path asked for; detail keeps its variance on any path.
        """
        if self.blend is None:
            return self._draw(torch.randn, shape, stream)
        drawn = [part.noise(*shape, stream=stream) for part in self.blend.parts]
        is_path = is_latent and self.blend.space == "z"
        return self.blend.combine(drawn) if is_path else self.blend.combine_detail(drawn)

    def uniform(self, *shape: int, stream: int = 0) -> Tensor:
        """Draw [N, *shape] uniforms in [0, 1), each row from its own seed."""
        if self.blend is None:
            return self._draw(torch.rand, shape, stream)
        return self.blend.combine_uniform(
            [part.uniform(*shape, stream=stream) for part in self.blend.parts]
        )

    def blended(self, space: str, draw: Callable[["GenerateRequest"], Tensor]) -> Tensor:
        """Latents of a space: `draw` of this request, or between the draws of several seeds.

        An architecture calls it for each space in its `latent_spaces` whose latents are not plain
        draws: mapped, truncated, ...

        Args:
            space: name of the space.
            draw: request -> latents [N, ...], a row from its row of the request alone.
        """
        if self.blend is None or self.blend.space != space:
            return draw(self)
        return self.blend.combine([draw(part) for part in self.blend.parts])

    def take(self, rows: Sequence[int]) -> "GenerateRequest":
        """The same request for some of its images, in this order; tensors on its device."""
        fields: dict[str, Any] = {"seeds": [self.seeds[row] for row in rows]}
        for name in _PER_IMAGE:
            value = getattr(self, name)
            fields[name] = None if value is None else value[list(rows)].to(self.device)
        return replace(self, **fields, blend=None if self.blend is None else self.blend.take(rows))

    def random_label(self, num_classes: int, counts: Sequence[int] = ()) -> Tensor:
        """The labels asked for, or one drawn from each seed: [N, num_classes] one-hot.

        Args:
            num_classes: classes of the model.
            counts: how often each is to be drawn, relatively; empty for equally often.
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
        index = torch.searchsorted(ends, self.uniform(stream=-1), right=True)
        index.clamp_(max=num_classes - 1)
        return nn.functional.one_hot(index, num_classes).float()

    def _draw(self, sampler: Callable[..., Tensor], shape: tuple[int, ...], stream: int) -> Tensor:
        # Drawn on the CPU so that a seed means the same image on every device.
        rows = []
        for seed in self.seeds:
            generator = torch.Generator().manual_seed((int(seed) << 8) ^ (stream & 0xFF))
            rows.append(sampler(shape, generator=generator))
        if not rows:
            return torch.empty(0, *shape, device=self.device)
        return torch.stack(rows).to(self.device)


@dataclass(frozen=True)
class Blend:
    """Latents between seeds: N images, each a combination of K.

    Attributes:
        parts: K plain requests of N seeds each.
        weights: [K, N]; for a space whose latents are [N, L, ...] also [K, N, L], by layer.
        space: the latent space in which they are combined, z being that of plain draws.
        is_spherical: turn from the first of two parts to the second, `weights[1]` of the way.
    """

    parts: tuple[GenerateRequest, ...]
    weights: Tensor
    space: str = "z"
    is_spherical: bool = False

    def combine(self, values: Sequence[Tensor]) -> Tensor:
        """Latents [N, ...] from those of the K parts."""
        if self.is_spherical:
            start, end = values
            return blending.spherical(start, end, self.weights[1])
        return blending.linear(values, self.weights)

    def combine_detail(self, values: Sequence[Tensor]) -> Tensor:
        """Normal draws [N, ...] that stay standard normal; by layer, as the coarsest layer."""
        weights = self.weights if self.weights.ndim == 2 else self.weights[..., 0]
        return blending.linear(values, blending.unit_variance(weights))

    def combine_uniform(self, values: Sequence[Tensor]) -> Tensor:
        """Uniform draws; turned as normals of the same quantiles, so that they stay uniform."""
        if self.is_spherical:
            return blending.to_uniform(self.combine([blending.to_normal(v) for v in values]))
        # About their mean, as a latent of U[-1, 1] is.
        return self.mean([value - 0.5 for value in values]) + 0.5

    def mean(self, values: Sequence[Tensor]) -> Tensor:
        """The weighted sum [N, ...], on any path; of labels, say."""
        weights = self.weights if self.weights.ndim == 2 else self.weights[..., 0]
        return blending.linear(values, weights)

    def take(self, rows: Sequence[int]) -> "Blend":
        """The same for some of its images."""
        return replace(
            self,
            parts=tuple(part.take(rows) for part in self.parts),
            weights=self.weights[:, list(rows)],
        )
