"""pix2pixHD: large photos from label maps, in two stages. Wang et al. 2018, arXiv:1711.11585.

The first stage trains a global network at half the resolution. The second adds a local enhancer.
Discriminators at several scales judge the result, and their features must be those of real photos.
Deviation: no encoder of instance features (section 3.4 of the paper).
"""

from collections.abc import Mapping
from typing import TypeVar

import torch
from torch import Tensor, nn

from ganforge.api import (
    Batch,
    ConfigError,
    Field,
    FieldSpec,
    GenerateRequest,
    ImageSpec,
    Networks,
    Objective,
    PenaltyInput,
    ShapeError,
    Terms,
)
from ganforge.layers import MultiScaleDiscriminator
from ganforge_translation.coarse_to_fine import CoarseToFine, CoarseToFineOptions
from ganforge_translation.family import (
    ImageTranslator,
    TranslatorOptions,
    augmented_pair,
    remembered,
)
from ganforge_translation.matching import (
    MatchingOptions,
    PerceptualLoss,
    aligned_pairs,
    all_logits,
    multi_scale_discriminator_terms,
    multi_scale_generator_terms,
)
from ganforge_translation.networks import UP_KERNELS, receptive_field

INSTANCES = "instances"
_INSTANCE_IDS = FieldSpec("labels", 0)


class Pix2pixHdConfig(MatchingOptions, CoarseToFineOptions, TranslatorOptions):
    """Options of pix2pixHD."""

    generator_width: int = Field(
        64, ge=2, multiple_of=2, description="Channels of the coarse network at its full size."
    )
    num_scales: int = Field(
        3, ge=1, le=5, description="Discriminators, each of half the resolution of the one before."
    )


HdOptionsT = TypeVar("HdOptionsT", bound=Pix2pixHdConfig)


class Discriminator(nn.Module):
    """The discriminators of all scales, with the features that feature matching compares."""

    def __init__(
        self,
        channels: int,
        width: int,
        num_layers: int,
        num_scales: int,
        *,
        normalize: bool = True,
    ) -> None:
        """Build it; the arguments are those of `MultiScaleDiscriminator`."""
        super().__init__()
        self.judges = MultiScaleDiscriminator(
            channels, width, num_layers, num_scales, normalize=normalize
        )

    def forward(self, pair: Tensor) -> list[list[Tensor]]:
        """[N, channels, H, W] -> for each scale the maps of its layers, the logits last."""
        return self.judges.features(pair)


class HighResolutionTranslator(ImageTranslator[HdOptionsT]):
    """What pix2pixHD shares with architectures built on it: sizes, networks, perceptual loss."""

    is_paired = True
    size_options = ("discriminator_layers", "num_scales")
    stride_options = ("num_downs", "enhancers")
    example_options = {
        "enhancers": 1,
        "generator_width": 4,
        "num_downs": 1,
        "num_blocks": 1,
        "local_blocks": 1,
        "discriminator_width": 4,
        "discriminator_layers": 1,
        "num_scales": 2,
    }

    def __init__(self, config: HdOptionsT, spec: ImageSpec) -> None:
        super().__init__(config, spec)
        self.num_scales, self.stride = config.num_scales, config.stride
        self.perceptual = PerceptualLoss(config)

    @property
    def seen_features(self) -> tuple[str, ...]:
        """The extractor of the perceptual loss."""
        return self.perceptual.seen_features

    def check(self, objective: Objective) -> None:
        """As for every translator; also refuse a perceptual loss that cannot be computed."""
        super().check(objective)
        self.perceptual.check(self.spec)

    def coarse_to_fine(self, in_channels: int) -> CoarseToFine:
        """The generator, with the options of the file."""
        config = self.config
        return CoarseToFine(in_channels, self.spec.channels, config.generator_width, **config.shape)

    def discriminator(self, channels: int, num_scales: int) -> Discriminator:
        """Discriminators of `num_scales` sizes, with the options of the file."""
        config = self.config
        network = Discriminator(
            channels,
            config.discriminator_width,
            config.discriminator_layers,
            num_scales,
            normalize=config.discriminator_norm == "instance",
        )
        return self.normalized(network)


class Pix2pixHd(HighResolutionTranslator[Pix2pixHdConfig]):
    """Paired translation at high resolution, from label maps or images."""

    name, Config = "pix2pix_hd", Pix2pixHdConfig
    paper = "Wang et al. 2018, arXiv:1711.11585"
    optional_inputs = (INSTANCES,)
    example_fields = {INSTANCES: _INSTANCE_IDS}

    def __init__(self, config: Pix2pixHdConfig, spec: ImageSpec) -> None:
        super().__init__(config, spec)
        up_kernel = UP_KERNELS[config.upsampling]
        field = receptive_field(config.num_downs, config.num_blocks, up_kernel=up_kernel)
        if config.enhancers:  # its layers, and the global network at half the size
            field = 2 * field + receptive_field(1, config.local_blocks, up_kernel=up_kernel)
        self.receptive_field = field
        self.has_instances = INSTANCES in spec.fields

    def check(self, objective: Objective) -> None:
        """As for all of its kind; also refuse maps of instances that are not ids."""
        super().check(objective)
        found = self.spec.fields.get(INSTANCES, _INSTANCE_IDS)
        if found != _INSTANCE_IDS:
            raise ConfigError(
                f"data.fields.{INSTANCES}: 'pix2pix_hd' reads the ids of instances, one a pixel, "
                f"but the data has {found}. Set data.fields.{INSTANCES}: {{kind: labels, "
                f"num_labels: 0}} and prepare again."
            )

    def networks(self) -> dict[str, nn.Module]:
        """The coarse-to-fine generator and the discriminators of pairs."""
        sources = (self.spec.source_channels or self.spec.channels) + self.has_instances
        return {
            "generator": self.coarse_to_fine(sources),
            "discriminator": self.discriminator(
                sources + self.spec.channels, self.config.num_scales
            ),
        }

    def generator_terms(self, objective: Objective, nets: Networks, batch: Batch) -> Terms:
        """Fool the discriminators, and match the features of the real photo."""
        source, target = self._source(batch), batch["target"]
        gen_img = nets["generator"](source)
        batch.memory["gen_img"] = gen_img.detach()
        pairs = aligned_pairs(objective, source, gen_img, target)
        terms = multi_scale_generator_terms(objective, self.config, nets["discriminator"], *pairs)
        return terms | self.perceptual.terms(gen_img, target)

    def discriminator_terms(self, objective: Objective, nets: Networks, batch: Batch) -> Terms:
        """Tell pairs of the data from pairs of a source and its translation, at each scale."""
        source = self._source(batch)
        img = torch.cat([batch["target"], self._gen_img(nets, batch)])
        maps = nets["discriminator"](augmented_pair(objective, img, torch.cat([source] * 2)))
        return multi_scale_discriminator_terms(objective, self.config, batch, maps)

    def penalty_inputs(
        self, objective: Objective, nets: Networks, batch: Batch
    ) -> dict[str, PenaltyInput]:
        """The discriminators of pairs, under the sources of the batch."""
        source = self._source(batch)

        def critic(discriminator: nn.Module, img: Tensor) -> Tensor:
            return all_logits(discriminator(augmented_pair(objective, img, source)))

        return {"": self.penalized(nets, batch, critic, lambda: self._gen_img(nets, batch))}

    def generate(self, nets: Mapping[str, nn.Module], request: GenerateRequest) -> Tensor:
        """Translate `request.source`, with the ids in `request.fields["instances"]` if trained so.

        Raises:
            ShapeError: there is no source, or no instances, or a shape does not fit.
        """
        source = self.checked_source(request)
        if self.has_instances:
            ids = _checked_instances(request, source)
            source = torch.cat([source, instance_edges(ids).to(source)], dim=1)
        img: Tensor = nets["generator"](source)
        return img

    def _source(self, batch: Batch) -> Tensor:
        """[N, K, H, W] sources, with the edges of the instances as a last channel."""
        if not self.has_instances:
            return batch["source"]
        if "source_with_edges" not in batch.memory:
            source = batch["source"]
            edges = instance_edges(batch[INSTANCES]).to(source)
            batch.memory["source_with_edges"] = torch.cat([source, edges], dim=1)
        with_edges: Tensor = batch.memory["source_with_edges"]
        return with_edges

    def _gen_img(self, nets: Networks, batch: Batch) -> Tensor:
        return remembered(batch, "gen_img", lambda: nets["generator"](self._source(batch)))


def instance_edges(ids: Tensor) -> Tensor:
    """[N, 1, H, W] ids -> bool: whether one of the four neighbors has another id."""
    edges = torch.zeros_like(ids, dtype=torch.bool)
    across, below = ids[..., 1:] != ids[..., :-1], ids[..., 1:, :] != ids[..., :-1, :]
    edges[..., 1:] |= across
    edges[..., :-1] |= across
    edges[..., 1:, :] |= below
    edges[..., :-1, :] |= below
    return edges


def _pair(objective: Objective, img: Tensor, source: Tensor) -> Tensor:
    img, source = objective.augment(img, along=source)
    return torch.cat([source, img], dim=1)


def _checked_instances(request: GenerateRequest, source: Tensor) -> Tensor:
    ids = request.fields.get(INSTANCES)
    if ids is None:
        raise ShapeError(
            f"This model was trained with maps of instances, but the request has none. Give the "
            f"ids of each source: translate(images, fields={{'{INSTANCES}': [...]}})."
        )
    wanted = [source.shape[0], 1, *source.shape[2:]]
    if list(ids.shape) != wanted or ids.is_floating_point():
        raise ShapeError(
            f"fields['{INSTANCES}'] has shape {list(ids.shape)} and type {ids.dtype}; 'pix2pix_hd' "
            f"wants integer ids {wanted}, as large as the sources."
        )
    return ids.to(request.device)
