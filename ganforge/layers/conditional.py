"""Normalization whose gain and bias depend on a condition."""

import torch
from torch import Tensor, nn

from ganforge.errors import ShapeError
from ganforge.layers.spectral import spectral_norm


class ConditionalBatchNorm2d(nn.Module):
    """Batch normalization with gain and bias predicted from a condition.

    With one-hot labels as condition this is class-conditional batch normalization (Dumoulin et al.
    2017, arXiv:1610.07629). With a shared class embedding, concatenated with a part of the latent,
    it is that of BigGAN (Brock et al. 2019, arXiv:1809.11096, appendix B). Without a condition it
    is plain batch normalization, so that one block serves both cases.

    Args:
        cond_dim: size of the condition; 0 for none.
        spectral: put spectral normalization on the two predictors.
    """

    def __init__(
        self,
        num_features: int,
        cond_dim: int,
        *,
        spectral: bool = False,
        eps: float = 1e-5,
        momentum: float = 0.1,
    ) -> None:
        super().__init__()
        self.norm = nn.BatchNorm2d(num_features, eps=eps, momentum=momentum, affine=cond_dim == 0)
        self.gain: nn.Linear | None = None
        self.bias: nn.Linear | None = None
        if cond_dim > 0:
            self.gain = _predictor(cond_dim, num_features, spectral)
            self.bias = _predictor(cond_dim, num_features, spectral)

    def forward(self, x: Tensor, cond: Tensor | None = None) -> Tensor:
        """[N, C, H, W] and [N, cond_dim] -> [N, C, H, W]; a ShapeError for other conditions."""
        normal: Tensor = self.norm(x)
        if self.gain is None or self.bias is None:
            return normal
        if cond is None or cond.shape != (x.shape[0], self.gain.in_features):
            raise ShapeError(
                f"Conditional batch norm over {x.shape[1]} channels got a condition of shape "
                f"{None if cond is None else list(cond.shape)}; it needs [{x.shape[0]}, "
                f"{self.gain.in_features}]. Pass one row per image, or build it with cond_dim=0."
            )
        gain = (1.0 + self.gain(cond)).to(x.dtype)[:, :, None, None]
        return torch.addcmul(self.bias(cond).to(x.dtype)[:, :, None, None], normal, gain)


def _predictor(cond_dim: int, num_features: int, spectral: bool) -> nn.Linear:
    linear = nn.Linear(cond_dim, num_features, bias=False)
    nn.init.normal_(linear.weight, std=0.02)
    return spectral_norm(linear) if spectral else linear
