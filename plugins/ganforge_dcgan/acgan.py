"""ACGAN: the discriminator also predicts the class. Source: Odena et al. 2017, arXiv:1610.09585.

Deviations from the paper: 4x4 kernels at stride 2 in place of 5x5 in the generator, a latent from a
normal distribution, any size whose halves reach a small grid, and any adversarial loss.
"""

import torch
from torch import Tensor, nn
from torch.nn import functional

from ganforge.api import (
    Batch,
    ComponentOptions,
    ConfigError,
    Field,
    ImageSpec,
    Networks,
    NoiseToImage,
    Objective,
    OptimizerConfig,
    Terms,
    full_precision,
)
from ganforge.layers import LeakyReLU, base_grid
from ganforge_dcgan.norms import Norm, build_norm, init_dcgan


class AcganConfig(ComponentOptions):
    """Options of ACGAN; the defaults are the paper's network for CIFAR-10."""

    z_dim: int = Field(100, gt=0, description="Latent size, to which the label is appended.")
    generator_channels: int = Field(
        384, gt=0, description="Channels of the coarsest grid; they halve with each step up."
    )
    discriminator_channels: int = Field(
        16, gt=0, description="Channels of the first layer; they double with each, up to 512."
    )
    dropout: float = Field(0.5, ge=0, lt=1, description="In the discriminator.")
    input_noise: float = Field(
        0.0, ge=0, description="Standard deviation of noise on the discriminator's images."
    )
    class_weight: float = Field(1.0, gt=0, description="Weight of the class terms.")
    generator_norm: Norm = "batch"
    discriminator_norm: Norm = Field(
        "batch", description="With a gradient penalty use layer or none."
    )


class AcganGenerator(nn.Module):
    """z [N, z_dim], c [N, c_dim] -> img [N, C, H, W] in [-1, 1]."""

    def __init__(self, config: AcganConfig, spec: ImageSpec) -> None:
        super().__init__()
        height, width, doublings = base_grid(spec.height, spec.width, "acgan")
        self.c_dim = spec.num_classes
        inputs, norm = config.z_dim + self.c_dim, config.generator_norm
        before = config.generator_channels
        layers: list[nn.Module] = [nn.ConvTranspose2d(inputs, before, (height, width)), nn.ReLU()]
        for _ in range(doublings - 1):
            after = max(1, before // 2)
            layers += [
                nn.ConvTranspose2d(before, after, 4, 2, 1, bias=norm == "none"),
                build_norm(norm, after),
                nn.ReLU(),
            ]
            before = after
        layers.append(nn.ConvTranspose2d(before, spec.channels, 4, 2, 1))
        self.layers = nn.Sequential(*layers)
        self.apply(init_dcgan)

    def forward(self, z: Tensor, c: Tensor) -> Tensor:
        """Generate."""
        img: Tensor = self.layers(torch.cat([z, c], dim=1)[:, :, None, None]).tanh()
        return img


class AcganDiscriminator(nn.Module):
    """img [N, C, H, W] -> logits [N] and, optionally, class logits [N, num_classes]."""

    def __init__(self, config: AcganConfig, spec: ImageSpec) -> None:
        super().__init__()
        height, width, doublings = base_grid(spec.height, spec.width, "acgan")
        self.input_noise, norm = config.input_noise, config.discriminator_norm
        layers: list[nn.Module] = []
        before = spec.channels
        # Two layers a level: the first halves the size, the second keeps it.
        for index in range(2 * doublings):
            after = min(512, config.discriminator_channels << index)
            plain = index == 0 or norm == "none"
            layers += [
                nn.Conv2d(before, after, 3, 2 - index % 2, 1, bias=plain),
                build_norm("none" if index == 0 else norm, after),
                LeakyReLU(0.2),
                nn.Dropout(config.dropout),
            ]
            before = after
        self.layers = nn.Sequential(*layers)
        self.source = nn.Linear(before * height * width, 1)
        self.classes = nn.Linear(before * height * width, spec.num_classes)
        self.apply(init_dcgan)

    def forward(
        self, img: Tensor, c: Tensor, classify: bool = False
    ) -> Tensor | tuple[Tensor, Tensor]:
        """Score; the label `c` is not looked at."""
        if self.training and self.input_noise:
            img = img + self.input_noise * torch.randn_like(img)
        features = self.layers(img).flatten(1)
        with full_precision(features):
            logits = self.source(features.float()).flatten()
            return (logits, self.classes(features.float())) if classify else logits


class Acgan(NoiseToImage[AcganConfig]):
    """Auxiliary classifier GAN (Odena et al. 2017)."""

    name, Config = "acgan", AcganConfig
    paper = "Odena et al. 2017, arXiv:1610.09585"
    inputs = ("image", "label")
    optimizer = OptimizerConfig(name="adam", lr=2e-4, betas=(0.5, 0.999))
    example_options = {"z_dim": 8, "generator_channels": 16, "discriminator_channels": 4}

    def check(self, objective: Objective) -> None:
        """Refuse data without classes, sizes that are not reached, and forbidden penalties."""
        spec = self.spec
        if spec.num_classes < 2:
            raise ConfigError(
                f"model.architecture: 'acgan' learns classes, but the data have "
                f"{spec.num_classes}. Prepare them with two or more (a folder per class), or "
                f"choose an architecture without labels, such as dcgan."
            )
        base_grid(spec.height, spec.width, self.name)
        objective.refuse_term(
            "mismatched_pairs", "the discriminator of 'acgan' does not read the class"
        )

    def networks(self) -> dict[str, nn.Module]:
        """Generator and discriminator."""
        return {
            "generator": AcganGenerator(self.config, self.spec),
            "discriminator": AcganDiscriminator(self.config, self.spec),
        }

    def generator_terms(self, objective: Objective, nets: Networks, batch: Batch) -> Terms:
        """The adversarial term, and the class that the generator was conditioned on."""
        c, discriminator = self.gen_condition(objective, batch), nets["discriminator"]
        gen_img = nets["generator"](self.latent(batch.size, c), c)
        gen_logits, gen_classes = discriminator(objective.augment(gen_img), c, True)
        terms = objective.generator(
            gen_logits,
            lambda: discriminator(objective.augment(batch.image), self.condition(batch)),
        )
        classes = functional.cross_entropy(gen_classes, c)
        return terms | {"class": self.config.class_weight * classes}

    def discriminator_terms(self, objective: Objective, nets: Networks, batch: Batch) -> Terms:
        """The adversarial term, and the classes of real and generated images alike."""
        c, discriminator = self.condition(batch), nets["discriminator"]
        real_logits, real_classes = discriminator(objective.augment(batch.image), c, True)
        gen_img, gen_c = self.generated(objective, nets["generator"], batch)
        gen_logits, gen_classes = discriminator(objective.augment(gen_img), gen_c, True)
        terms = objective.discriminator(batch, real_logits, gen_logits)
        batch.report("accuracy/class_real", _agrees(real_classes, c))
        batch.report("accuracy/class_gen", _agrees(gen_classes, gen_c))
        classes = functional.cross_entropy(real_classes, c)
        classes = classes + functional.cross_entropy(gen_classes, gen_c)
        return terms | {"class": self.config.class_weight * classes}


def _agrees(class_logits: Tensor, c: Tensor) -> Tensor:
    return class_logits.argmax(dim=1) == c.argmax(dim=1)
