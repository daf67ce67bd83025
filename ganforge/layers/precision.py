"""Layers that stay in float32 where the rest of a network runs in 16 bits."""

from typing import Any

from torch import Tensor, nn

from ganforge.interfaces.batch import full_precision


def run_layer(layer: nn.Module, x: Tensor, *others: Any, in_float32: bool) -> Tensor:
    """`layer(x, *others)`, in float32 whatever autocast says, or as autocast says.

    Coarse features are few and cost little, but what they lose in 16 bits goes through the whole
    network.
    """
    if not in_float32:
        usual: Tensor = layer(x, *others)
        return usual
    with full_precision(x):
        exact: Tensor = layer(x.float(), *others)
        return exact
