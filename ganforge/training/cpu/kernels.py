"""CPU kernels: faster replacements for torch functions, equal to them up to rounding."""

import torch
from torch import Tensor
from torch.nn import functional

from ganforge.interfaces.batch import full_precision
from ganforge.layers.batchnorm import join_moments, normalize, unbias
from ganforge.layers.replace_functions import ReplaceFunctions
from ganforge.training.cpu import small_grids


class CpuKernels(ReplaceFunctions):
    """Within this context torch functions are replaced by faster ones, whatever calls them.

    Each kernel was measured to be faster for some inputs; for all others it calls the original.

    Args:
        matrix_units: also replace convolutions and rectifiers of small grids in bfloat16, which
            is faster on processors with matrix units.
    """

    def __init__(self, *, matrix_units: bool) -> None:
        kernels = small_grids.KERNELS if matrix_units else {}
        super().__init__({functional.batch_norm: _batch_norm, **kernels})

    @property
    def description(self) -> str:
        """What is replaced, for the log."""
        names = [function.__name__ for function in self.replacements]
        return f"faster kernels for {', '.join(names)}"


def _batch_norm(
    input: Tensor,
    running_mean: Tensor | None,
    running_var: Tensor | None,
    weight: Tensor | None = None,
    bias: Tensor | None = None,
    training: bool = False,
    momentum: float = 0.1,
    eps: float = 1e-5,
) -> Tensor:
    """`functional.batch_norm`, by the moments of each image where it is compiled.

    Inductor walks through the whole batch once per few channels; one image fits into the cache.
    """
    is_compiled = torch.compiler.is_compiling() and input.device.type == "cpu"
    has_moments = input.ndim == 4 and input.numel() > input.shape[1]
    if not (training and is_compiled and has_moments):
        return functional.batch_norm(
            input, running_mean, running_var, weight, bias, training, momentum, eps
        )
    return batch_norm_by_image(input, running_mean, running_var, weight, bias, momentum, eps)


def batch_norm_by_image(
    x: Tensor,
    running_mean: Tensor | None,
    running_var: Tensor | None,
    weight: Tensor | None,
    bias: Tensor | None,
    momentum: float,
    eps: float,
) -> Tensor:
    """Equal to `functional.batch_norm(..., training=True)` for [N, C, H, W] and parameters [C]."""
    with full_precision(x):
        wide = x.to(torch.promote_types(x.dtype, torch.float32))
        variances, means = torch.var_mean(wide, dim=(2, 3), correction=0)
        mean, var = join_moments(means, variances, 1 / len(x))
        if running_mean is not None and running_var is not None:
            with torch.no_grad():
                running_mean.lerp_(mean, momentum)
                running_var.lerp_(var * unbias(x.numel() / x.shape[1]), momentum)
        return normalize(wide, mean, var, weight, bias, eps).to(x.dtype)
