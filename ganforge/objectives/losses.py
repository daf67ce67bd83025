"""Adversarial losses.

Logits may have any shape; each loss is a mean over all of them. Everything is computed in at
least float32, in softplus form, so that large logits neither overflow nor lose their gradient.
"""

import math
from typing import ClassVar

import torch.nn.functional as F
from pydantic import Field
from torch import Tensor

from ganforge.config.models import StrictModel
from ganforge.errors import PluginContractError, ShapeError
from ganforge.interfaces.objective import AdversarialLoss


def full(tensor: Tensor) -> Tensor:
    """The tensor in at least float32."""
    return tensor if tensor.element_size() >= 4 else tensor.float()


class LogisticConfig(StrictModel):
    """Options of the losses with a logistic discriminator."""

    real_target: float = Field(
        1.0,
        gt=0.5,
        le=1.0,
        description="Label of real images; 0.9 is the usual one-sided label smoothing.",
    )


class Minimax(AdversarialLoss[LogisticConfig]):
    """The original game (Goodfellow et al. 2014, arXiv:1406.2661, Eq. 1)."""

    name = "minimax"
    Config = LogisticConfig

    @property
    def equilibrium_logit(self) -> float:
        """The logit of half the label of real images: 0, or less with label smoothing."""
        label = self.config.real_target
        return math.log(label / (2 - label))

    def discriminator(self, real_logits: Tensor, gen_logits: Tensor) -> Tensor:
        """Binary cross-entropy of a classifier that tells real from generated.

        Its negative is the value of the game, E log D(x) + E log(1 - D(G(z))). Real images have
        the label `real_target`, generated ones 0 (Salimans et al. 2016, arXiv:1606.03498, 3.4).
        """
        real, gen = full(real_logits), full(gen_logits)
        real_term = F.softplus(-real)
        if self.config.real_target != 1.0:
            # -t log D - (1 - t) log(1 - D) with log(1 - D) = log D - logit
            real_term = real_term + (1.0 - self.config.real_target) * real
        return real_term.mean() + F.softplus(gen).mean()

    def generator(self, gen_logits: Tensor, real_logits: Tensor | None = None) -> Tensor:
        """E log(1 - D(G(z))), which saturates when the discriminator wins."""
        return -F.softplus(full(gen_logits)).mean()


class NonSaturating(Minimax):
    """The game as it is played in practice (Goodfellow et al. 2014, section 3)."""

    name = "nonsaturating"

    def generator(self, gen_logits: Tensor, real_logits: Tensor | None = None) -> Tensor:
        """-E log D(G(z)): the same fixed point with a strong gradient early on."""
        return F.softplus(-full(gen_logits)).mean()


class LeastSquaresConfig(StrictModel):
    """Labels of the least-squares game, named as in the paper."""

    a: float = Field(0.0, description="Label of generated images. The paper's other choice: -1.")
    b: float = Field(
        1.0, description="Label of real images. 0.9 smooths it. The paper's other choice: 1."
    )
    c: float = Field(1.0, description="The generator's target label. The paper's other choice: 0.")


class LeastSquares(AdversarialLoss[LeastSquaresConfig]):
    """LSGAN (Mao et al. 2017, arXiv:1611.04076).

    The default labels are 0, 1, 1 (Eq. 9). With a, b, c = -1, 1, 0 (Eq. 8) the game minimizes
    the Pearson chi-squared divergence.
    """

    name = "least_squares"
    Config = LeastSquaresConfig

    @property
    def logit_sign_is_class(self) -> bool:
        """Only where the labels lie on both sides of 0, equally far."""
        return self.config.a == -self.config.b

    @property
    def equilibrium_logit(self) -> float:
        """The middle between the labels."""
        return (self.config.a + self.config.b) / 2

    def discriminator(self, real_logits: Tensor, gen_logits: Tensor) -> Tensor:
        """Half the squared distance of the logits from the labels `a` and `b` (Eq. 2)."""
        real_term = (full(real_logits) - self.config.b).square().mean()
        gen_term = (full(gen_logits) - self.config.a).square().mean()
        return 0.5 * (real_term + gen_term)

    def generator(self, gen_logits: Tensor, real_logits: Tensor | None = None) -> Tensor:
        """Half the squared distance of the logits from `c` (Eq. 2)."""
        return 0.5 * (full(gen_logits) - self.config.c).square().mean()


class Wasserstein(AdversarialLoss[StrictModel]):
    """WGAN (Arjovsky et al. 2017, arXiv:1701.07875); the critic must be kept Lipschitz."""

    name = "wasserstein"
    needs_lipschitz: ClassVar[bool] = True

    @property
    def logit_sign_is_class(self) -> bool:
        """No: only differences of the critic count."""
        return False

    def discriminator(self, real_logits: Tensor, gen_logits: Tensor) -> Tensor:
        """Minus the critic's estimate of the Wasserstein-1 distance (Eq. 3)."""
        return full(gen_logits).mean() - full(real_logits).mean()

    def generator(self, gen_logits: Tensor, real_logits: Tensor | None = None) -> Tensor:
        """Minus the critic's mean on generated images (algorithm 1)."""
        return -full(gen_logits).mean()


class Hinge(AdversarialLoss[StrictModel]):
    """The margin loss of SNGAN, SAGAN and BigGAN (Miyato et al. 2018, arXiv:1802.05957)."""

    name = "hinge"
    equilibrium_logit: ClassVar[float] = 0.0

    def discriminator(self, real_logits: Tensor, gen_logits: Tensor) -> Tensor:
        """Nothing to gain beyond logits of 1 and -1 (Eq. 16; Lim and Ye 2017, arXiv:1705.02894)."""
        return F.relu(1.0 - full(real_logits)).mean() + F.relu(1.0 + full(gen_logits)).mean()

    def generator(self, gen_logits: Tensor, real_logits: Tensor | None = None) -> Tensor:
        """Minus the mean logit of generated images (Eq. 17)."""
        return -full(gen_logits).mean()


class Relativistic(AdversarialLoss[StrictModel]):
    """Relativistic pairing, R3GAN's loss (Huang et al. 2024, arXiv:2501.05441)."""

    name = "relativistic"
    generator_needs_real: ClassVar[bool] = True
    equilibrium_logit: ClassVar[float] = 0.0

    @property
    def logit_sign_is_class(self) -> bool:
        """No: only differences of logits count."""
        return False

    def discriminator(self, real_logits: Tensor, gen_logits: Tensor) -> Tensor:
        """Each real image must look more real than the generated one it is paired with (Eq. 2).

        Raises:
            ShapeError: the two cannot be paired.

        Source: also Jolicoeur-Martineau 2018, arXiv:1807.00734.
        """
        if real_logits.shape != gen_logits.shape:
            raise ShapeError(
                f"The relativistic loss pairs each real logit with a generated one, but got shapes "
                f"{list(real_logits.shape)} and {list(gen_logits.shape)}. Give the discriminator "
                f"as many generated as real images, or choose another `loss.name`."
            )
        return F.softplus(full(gen_logits) - full(real_logits)).mean()

    def generator(self, gen_logits: Tensor, real_logits: Tensor | None = None) -> Tensor:
        """The discriminator's loss with the roles exchanged.

        Raises:
            PluginContractError: the architecture gave no real logits.
        """
        if real_logits is None:
            raise PluginContractError(
                "The generator's relativistic loss got no real logits. An architecture whose "
                "`loss.generator_needs_real` is True must call "
                "`loss.generator(gen_logits, real_logits)`; else choose another `loss.name`."
            )
        return self.discriminator(gen_logits, real_logits)
