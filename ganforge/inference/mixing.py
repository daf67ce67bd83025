"""Requests for latents between seeds, and the layout of sums of them."""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

import torch
from PIL import Image
from torch import Tensor

from ganforge.imaging.grids import Names
from ganforge.inference.requests import Term
from ganforge.inference.results import Sheet
from ganforge.interfaces.generation import Blend, GenerateRequest

_CONDITIONS = ("label", "attributes", "text")


def blended_request(
    keys: GenerateRequest,
    rows: Sequence[Sequence[int]],
    weights: Tensor,
    space: str,
    *,
    is_spherical: bool = False,
) -> GenerateRequest:
    """A request for N images between those of `keys`, whose conditions mix by the same weights.

    Args:
        keys: a plain request.
        rows: K times N rows of `keys`.
        weights: [K, N], or [K, N, L] by layer.
        space: latent space in which they are combined.
        is_spherical: turn from the first of two to the second.
    """
    blend = Blend(tuple(keys.take(part) for part in rows), weights, space, is_spherical)
    conditions: dict[str, Any] = {
        name: blend.mean([getattr(part, name) for part in blend.parts])
        for name in _CONDITIONS
        if getattr(keys, name) is not None
    }
    return replace(blend.parts[0], blend=blend, **conditions)


def crossed_styles(
    keys: GenerateRequest, num_rows: int, fine: slice, num_layers: int, space: str
) -> GenerateRequest:
    """A request for each pair of one of the first `num_rows` keys and one of the others, in rows.

    Args:
        keys: a plain request.
        num_rows: keys that give the coarse styles; those after them give the fine ones.
        fine: layers that take the fine ones.
        num_layers: of the generator.
        space: latent space in which they are combined.
    """
    pairs = [(r, c) for r in range(num_rows) for c in range(num_rows, len(keys.seeds))]
    weights = torch.zeros(len(pairs), num_layers)
    weights[:, fine] = 1.0
    rows = [[r for r, _ in pairs], [c for _, c in pairs]]
    return blended_request(keys, rows, torch.stack([1.0 - weights, weights]), space)


def num_given(labels: Any, options: Mapping[str, Any]) -> int:
    """How many key frames the conditions speak of; 1 when each is for all."""
    counts = [1]
    if isinstance(labels, Sequence | Tensor) and not isinstance(labels, str):
        counts.append(len(labels))
    for name in ("attributes", "text"):
        value = options.get(name)
        if isinstance(value, Tensor) and value.ndim == 2:
            counts.append(len(value))
        elif isinstance(value, list | tuple) and value and isinstance(value[0], str):
            counts.append(len(value))
    return max(counts)


def walk(num_keys: int, steps: int, loop: bool) -> tuple[list[int], list[int], Tensor]:
    """For each frame the key frame before it, the one after it, and how far it is between."""
    segments = num_keys if loop else num_keys - 1
    starts = [segment for segment in range(segments) for _ in range(steps)]
    ends = [(start + 1) % num_keys for start in starts]
    t = torch.arange(steps).repeat(segments) / steps
    if not loop:
        starts, ends = [*starts, num_keys - 2], [*ends, num_keys - 1]
        t = torch.cat([t, torch.ones(1)])
    return starts, ends, t


def arithmetic_sheet(
    terms: Sequence[Term], columns: Sequence[Sequence[Image.Image]], means: Sequence[Image.Image]
) -> Sheet:
    """Terms in columns: the images of their seeds, then the means; the result at the end."""
    depth = max(len(column) for column in columns)
    cells: list[Image.Image | None] = []
    captions: list[str] = []
    if depth > 1:
        for row in range(depth):
            for (_, seeds), column in zip(terms, columns, strict=True):
                has = row < len(column)
                cells.append(column[row] if has else None)
                captions.append(f"seed {seeds[row]}" if has else "")
            cells.append(None)
            captions.append("")
    cells += means
    single = [f"seed {seeds[0]}" for _, seeds in terms]
    captions += [*(["mean"] * len(terms) if depth > 1 else single), "result"]
    heads = [_head(index, factor) for index, (factor, _) in enumerate(terms)]
    return Sheet(tuple(cells), len(terms) + 1, Names(columns=(*heads, "="), cells=tuple(captions)))


def _head(index: int, factor: float) -> str:
    sign = "-" if factor < 0 else "+" if index else ""
    size = "" if abs(factor) == 1 else f"{abs(factor):g} "
    return f"{sign} {size}{chr(ord('a') + index % 26)}".strip()
