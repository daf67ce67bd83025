"""CUT and FastCUT: one-sided translation without pairs. Park et al. 2020, arXiv:2007.15651.

One translator is trained against one patch discriminator. In place of the way back of CycleGAN, a
contrastive loss (PatchNCE) holds each patch of a translation to the patch of the source at the same
place: in the features of the translator's own first half it must be nearer to it than to other
patches of the same image.
"""

from collections.abc import Mapping, Sequence
from typing import cast

import torch
from torch import Tensor, nn

from ganforge.api import (
    Batch,
    ConfigError,
    Field,
    GenerateRequest,
    ImageSpec,
    Networks,
    Objective,
    PenaltyInput,
    Terms,
    full_precision,
)
from ganforge.layers import ReLU, Upsampling, init_xavier
from ganforge_translation.family import (
    ImageTranslator,
    LeastSquaresOptions,
    l1,
    remembered,
    seen_by,
    weighted,
)
from ganforge_translation.networks import UP_KERNELS, Translator, receptive_field

_INIT_GAIN = 0.02


class CutConfig(LeastSquaresOptions):
    """Options of CUT; the defaults are the paper's CUT."""

    generator_width: int = Field(64, gt=0, description="Channels at full resolution.")
    num_blocks: int = Field(9, ge=1, description="Residual blocks.")
    antialias: bool = Field(
        True,
        description="Change the size by low-pass filters, as the authors do. false: CycleGAN's "
        "strided convolutions, which take less time.",
    )
    upsampling: Upsampling = Field(
        "transposed",
        description="With antialias: false. transposed: as in CycleGAN; resize: nearest neighbor "
        "and a convolution, which leaves no checkerboard.",
    )
    nce_weight: float = Field(
        1.0, gt=0, description="PatchNCE, mean over the layers; 10 for FastCUT."
    )
    nce_identity: bool = Field(
        True,
        description="PatchNCE also between images of the target domain and their translations, "
        "half of the weight each; false for FastCUT.",
    )
    identity_weight: float = Field(
        0.0,
        ge=0,
        description="Images of the target domain and their translations, mean L1, as in CycleGAN. "
        "PatchNCE alone does not say which color a patch keeps.",
    )
    flip_equivariance: bool = Field(
        False,
        description="Translate a random half of the images mirrored, and compare their features "
        "mirrored back; true for FastCUT.",
    )
    num_patches: int = Field(256, ge=2, description="Patches of each image, drawn for each layer.")
    temperature: float = Field(0.07, gt=0, description="Divides the similarities of patches.")
    projector_width: int = Field(256, gt=0, description="Width of the heads of the features.")


class Projector(nn.Module):
    """Two-layer heads, one for each layer of features, onto the unit sphere."""

    def __init__(self, channels: Sequence[int], width: int) -> None:
        super().__init__()
        self.heads = nn.ModuleList(
            nn.Sequential(nn.Linear(size, width), ReLU(), nn.Linear(width, width))
            for size in channels
        )

    def forward(self, patches: Sequence[Tensor]) -> list[Tensor]:
        """Patches [N, P, C] of each layer -> float32 unit vectors [N, P, width]."""
        vectors = [head(patch).float() for head, patch in zip(self.heads, patches, strict=True)]
        # The small number keeps the gradient of a zero vector finite.
        return [v * torch.rsqrt(v.square().sum(2, keepdim=True) + 1e-14) for v in vectors]


class Cut(ImageTranslator[CutConfig]):
    """One-sided unpaired image-to-image translation by patchwise contrastive learning."""

    name, Config = "cut", CutConfig
    paper = "Park et al. 2020, arXiv:2007.15651"
    generator_roles = ("generator", "projector")
    example_options = {
        "generator_width": 4,
        "num_blocks": 1,
        "discriminator_width": 4,
        "discriminator_layers": 1,
        "num_patches": 8,
        "projector_width": 8,
    }

    def __init__(self, config: CutConfig, spec: ImageSpec) -> None:
        super().__init__(config, spec)
        # A low-pass filter of three taps follows each halving convolution; a bilinear one
        # precedes each doubling convolution.
        down, up = (5, 5) if config.antialias else (3, UP_KERNELS[config.upsampling])
        self.receptive_field = receptive_field(2, config.num_blocks, down_kernel=down, up_kernel=up)

    def check(self, objective: Objective) -> None:
        """As for every translator; also refuse sources that are not like the targets."""
        super().check(objective)
        spec = self.spec
        if spec.source_kind == "labels" or spec.source_channels != spec.channels:
            raise ConfigError(
                f"model.architecture: 'cut' compares sources and translations by one encoder, but "
                f"the source is {spec.source_kind} with {spec.source_channels} channels and the "
                f"target has {spec.channels}. Use images of equal channels, e.g. data.channels: "
                f"3, or pix2pix for label maps."
            )

    def networks(self) -> dict[str, nn.Module]:
        """The translator, the heads of its features, and the discriminator."""
        config, channels = self.config, self.spec.channels
        generator = Translator(
            channels,
            channels,
            config.generator_width,
            config.num_blocks,
            config.upsampling,
            config.antialias,
        )
        networks: dict[str, nn.Module] = {
            "generator": generator,
            "projector": Projector(generator.tap_channels, config.projector_width),
            "discriminator": self.patch_discriminator(channels, antialias=config.antialias),
        }
        for network in networks.values():
            init_xavier(network, _INIT_GAIN)
        return networks

    def generator_terms(self, objective: Objective, nets: Networks, batch: Batch) -> Terms:
        """Fool the discriminator, and keep what each patch shows."""
        config, size = self.config, batch.size
        img = batch["source"]
        if config.nce_identity or config.identity_weight:
            # One pass of twice the size; instance norm keeps the images apart.
            img = torch.cat([img, batch["target"]])
        mirrored = self._draw_mirrored(img)
        shown = _flipped(img, mirrored)
        out = nets["generator"](shown)
        batch.memory["gen_img"] = out[:size].detach()
        adversarial = objective.generator(
            nets["discriminator"](objective.augment(out[:size])),
            lambda: nets["discriminator"](objective.augment(batch["target"])),
        )
        terms = weighted(adversarial, config.adversarial_weight)
        if config.identity_weight:
            terms["identity"] = config.identity_weight * l1(out[size:], shown[size:])
        num = len(img) if config.nce_identity else size
        mirrored = mirrored if mirrored is None else mirrored[:num]
        nce = config.nce_weight * self._nce(nets, img[:num], out[:num], mirrored)
        if not config.nce_identity:
            return {**terms, "nce": nce.mean()}
        return {**terms, "nce": nce[:size].mean() / 2, "nce_identity": nce[size:].mean() / 2}

    def _draw_mirrored(self, img: Tensor) -> Tensor | None:
        if not self.config.flip_equivariance:
            return None
        return torch.rand(len(img), 1, 1, 1, device=img.device) < 0.5

    def _nce(self, nets: Networks, img: Tensor, out: Tensor, mirrored: Tensor | None) -> Tensor:
        """PatchNCE of each image, mean over patches and layers: [N].

        `out` [N, C, H, W] translates `img`, mirrored where `mirrored` [N, 1, 1, 1] is true.
        """
        taps = cast(Translator, nets.eager("generator")).taps
        found = [_flipped(x, mirrored) for x in nets["generator"](out, taps)]
        places = [draw_places(x, self.config.num_patches) for x in found]
        queries = nets["projector"]([*map(take_patches, found, places)])
        # The features of the source are the aim, which does not move. They come second because
        # autocast would keep weights that it converted without gradient.
        with torch.no_grad():
            wanted = nets["generator"](img, taps)
            keys = nets["projector"]([*map(take_patches, wanted, places)])
        losses = [
            patch_nce(query, key, self.config.temperature)
            for query, key in zip(queries, keys, strict=True)
        ]
        return torch.stack(losses).mean(0)

    def discriminator_terms(self, objective: Objective, nets: Networks, batch: Batch) -> Terms:
        """Tell real images of the target domain from translations."""
        img = objective.augment(torch.cat([batch["target"], _gen_img(nets, batch)]))
        real_logits, gen_logits = nets["discriminator"](img).chunk(2)
        terms = objective.discriminator(batch, real_logits, gen_logits)
        return weighted(terms, self.config.discriminator_weight)

    def penalty_inputs(
        self, objective: Objective, nets: Networks, batch: Batch
    ) -> dict[str, PenaltyInput]:
        """The discriminator of the target domain."""
        return {"": self.penalized(nets, batch, seen_by(objective), lambda: _gen_img(nets, batch))}

    def generate(self, nets: Mapping[str, nn.Module], request: GenerateRequest) -> Tensor:
        """Translate `request.source`.

        Raises:
            ShapeError: there is no source, or its shape does not fit.
        """
        img: Tensor = nets["generator"](self.checked_source(request))
        return img


def _flipped(x: Tensor, mirrored: Tensor | None) -> Tensor:
    return x if mirrored is None else torch.where(mirrored, x.flip(3), x)


def draw_places(x: Tensor, num: int) -> Tensor:
    """Draw `num` different places, or all if there are fewer, of each map [N, C, H, W]: [N, P]."""
    count = x.shape[2] * x.shape[3]
    return torch.rand(len(x), count, device=x.device).topk(min(num, count)).indices


def take_patches(x: Tensor, places: Tensor) -> Tensor:
    """The values of [N, C, H, W] at places [N, P], counted row by row: [N, P, C]."""
    values = x.flatten(2).transpose(1, 2)
    return values.gather(1, places[..., None].expand(-1, -1, x.shape[1]))


def patch_nce(query: Tensor, key: Tensor, temperature: float) -> Tensor:
    """The cross-entropy of finding each query's key among all keys of its image: [N].

    Args:
        query: [N, P, D] unit vectors.
        key: [N, P, D] unit vectors; key p belongs to query p.
        temperature: divides the inner products.

    Source: Park et al. 2020, arXiv:2007.15651, Eqs. 2 and 4.
    """
    with full_precision(query):
        logits = query.float() @ key.float().transpose(1, 2) / temperature
        own = torch.diagonal(logits, dim1=1, dim2=2)
        return (torch.logsumexp(logits, 2) - own).mean(1)


def _gen_img(nets: Networks, batch: Batch) -> Tensor:
    return remembered(batch, "gen_img", lambda: nets["generator"](batch["source"]))
