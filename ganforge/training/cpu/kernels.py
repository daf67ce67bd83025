"""The forms of torch's functions in which a run on a CPU trains: equal values, in less time."""

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import torch
from torch import Tensor
from torch.nn import functional
from torch.overrides import TorchFunctionMode

from ganforge.interfaces.batch import full_precision
from ganforge.training.cpu import small_grids

Function = Callable[..., Any]


class Forms(TorchFunctionMode):
    """Within this context some functions of torch are replaced, whatever network calls them.

    The replacements differ by rounding. Each takes over only where it was measured to be faster,
    and calls the original elsewhere.

    Args:
        matrix_units: lay small images side by side for convolutions in bfloat16 (`small_grids`).
    """

    def __init__(self, *, matrix_units: bool) -> None:
        super().__init__()
        self.forms: Mapping[Function, Function] = {
            functional.batch_norm: _batch_norm,
            **(small_grids.FORMS if matrix_units else {}),
        }

    def __torch_function__(
        self,
        func: Function,
        types: Sequence[type],
        args: Sequence[Any] = (),
        kwargs: Mapping[str, Any] | None = None,
    ) -> Any:
        """Call the replacement, where there is one."""
        return self.forms.get(func, func)(*args, **(kwargs or {}))


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

    Inductor goes through a whole batch once for each few channels; an image fits into the cache.
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
    """Equal to `functional.batch_norm(..., training=True)` for [N, C, H, W] and parameters [C].

    Means and variances of all images are joined as by Chan, Golub and LeVeque 1979,
    STAN-CS-79-773. What the gradient sums up over a batch is summed up over images first, too.
    """
    with full_precision(x):
        wide = x.to(torch.promote_types(x.dtype, torch.float32))
        variances, means = torch.var_mean(wide, dim=(2, 3), unbiased=False)
        mean = means.mean(dim=0)
        var = (variances + (means - mean).square()).mean(dim=0)
        if running_mean is not None and running_var is not None:
            count = x.numel() // x.shape[1]
            with torch.no_grad():
                running_mean.lerp_(mean, momentum)
                running_var.lerp_(var * (count / (count - 1)), momentum)
        scale = torch.rsqrt(var + eps)
        if weight is not None:
            scale = scale * weight
        shift = -mean * scale if bias is None else bias - mean * scale
        shift, scale = (t.expand(len(x), -1)[:, :, None, None] for t in (shift, scale))
        return torch.addcmul(shift, wide, scale).to(x.dtype)
