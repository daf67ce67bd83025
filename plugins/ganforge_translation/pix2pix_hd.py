"""pix2pixHD: large photos from label maps, in two stages. Wang et al. 2018, arXiv:1711.11585.

The first stage trains a global network at half the resolution. The second adds a local enhancer.
Discriminators at several scales judge the result, and their features must be those of real photos.
Deviation: no encoder of instance features (section 3.4 of the paper).
"""

from collections.abc import Mapping
from typing import Literal

import torch
from torch import Tensor, nn

from ganforge.api import (
    Batch,
    ComponentChoice,
    ConfigError,
    Field,
    FieldSpec,
    FrozenFeatures,
    GenerateRequest,
    ImageSpec,
    Networks,
    Objective,
    PenaltyInput,
    ShapeError,
    Terms,
)
from ganforge.layers import MultiScaleDiscriminator
from ganforge_translation.coarse_to_fine import CoarseToFine
from ganforge_translation.family import (
    ImageTranslator,
    LeastSquaresOptions,
    UpsamplingOption,
    remembered,
)
from ganforge_translation.matching import (
    aligned_pairs,
    fooling_terms,
    instance_edges,
    perceptual_distance,
    telling_terms,
)
from ganforge_translation.networks import UP_KERNELS, receptive_field

INSTANCES = "instances"
_INSTANCE_IDS = FieldSpec("labels", 0)


class Pix2pixHdConfig(LeastSquaresOptions):
    """Options of pix2pixHD."""

    enhancers: Literal[0, 1] = Field(
        0, description="0: the global network alone, stage 1; 1: with the local enhancer, stage 2."
    )
    generator_width: int = Field(
        64, ge=2, multiple_of=2, description="Channels of the global network at its full size."
    )
    num_downs: int = Field(4, ge=1, le=6, description="How often the global network halves.")
    num_blocks: int = Field(9, ge=0, description="Residual blocks of the global network.")
    local_blocks: int = Field(3, ge=0, description="Residual blocks of the local enhancer.")
    upsampling: UpsamplingOption = "transposed"
    num_scales: int = Field(
        3, ge=1, le=5, description="Discriminators, each of half the resolution of the one before."
    )
    feature_weight: float = Field(
        10.0, ge=0, description="Distance of the discriminators' features, mean L1; 0: none."
    )
    perceptual: ComponentChoice | None = Field(
        None, description="Feature extractor with maps for the perceptual loss. Default: none."
    )
    perceptual_weight: float = Field(
        10.0, gt=0, description="Distance of the extractor's features, mean L1."
    )


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


class Pix2pixHd(ImageTranslator[Pix2pixHdConfig]):
    """Paired translation at high resolution, from label maps or images."""

    name, Config = "pix2pix_hd", Pix2pixHdConfig
    paper = "Wang et al. 2018, arXiv:1711.11585"
    optional_inputs = (INSTANCES,)
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
    example_fields = {INSTANCES: _INSTANCE_IDS}

    def __init__(self, config: Pix2pixHdConfig, spec: ImageSpec) -> None:
        super().__init__(config, spec)
        self.num_scales = config.num_scales
        self.stride = 1 << (config.num_downs + config.enhancers)
        up_kernel = UP_KERNELS[config.upsampling]
        field = receptive_field(config.num_downs, config.num_blocks, up_kernel=up_kernel)
        if config.enhancers:  # its layers, and the global network at half the size
            field = 2 * field + receptive_field(1, config.local_blocks, up_kernel=up_kernel)
        self.receptive_field = field
        self.has_instances = INSTANCES in spec.fields
        self._features = (
            FrozenFeatures(config.perceptual, "model.perceptual") if config.perceptual else None
        )

    @property
    def seen_features(self) -> tuple[str, ...]:
        """The extractor of the perceptual loss."""
        return () if self._features is None else (self._features.name,)

    def check(self, objective: Objective) -> None:
        """As for every translator; also refuse instances and features that cannot be had."""
        super().check(objective)
        found = self.spec.fields.get(INSTANCES, _INSTANCE_IDS)
        if found != _INSTANCE_IDS:
            raise ConfigError(
                f"data.fields.{INSTANCES}: 'pix2pix_hd' reads the ids of instances, one a pixel, "
                f"but the data has {found}. Set data.fields.{INSTANCES}: {{kind: labels, "
                f"num_labels: 0}} and prepare again."
            )
        if self._features is not None:
            self._check_perceptual(self._features)

    def _check_perceptual(self, features: FrozenFeatures) -> None:
        if self.spec.channels not in (1, 3):
            raise ConfigError(
                f"model.perceptual: '{features.name}' looks at gray or color images, but the "
                f"target has {self.spec.channels} channels. Set data.channels: 3, or remove it."
            )
        features.map_shapes(self.spec.height, self.spec.width)
        _ = features.extractor

    def networks(self) -> dict[str, nn.Module]:
        """The coarse-to-fine generator and the discriminators of pairs."""
        config, spec = self.config, self.spec
        sources = (spec.source_channels or spec.channels) + self.has_instances
        return {
            "generator": CoarseToFine(
                sources,
                spec.channels,
                config.generator_width,
                num_downs=config.num_downs,
                num_blocks=config.num_blocks,
                has_enhancer=config.enhancers == 1,
                local_blocks=config.local_blocks,
                upsampling=config.upsampling,
            ),
            "discriminator": self.normalized(
                Discriminator(
                    sources + spec.channels,
                    config.discriminator_width,
                    config.discriminator_layers,
                    config.num_scales,
                    normalize=config.discriminator_norm == "instance",
                )
            ),
        }

    def generator_terms(self, objective: Objective, nets: Networks, batch: Batch) -> Terms:
        """Fool the discriminators, and have the features of the real photo."""
        source, target = self._source(batch), batch["target"]
        gen_img = nets["generator"](source)
        batch.memory["gen_img"] = gen_img.detach()
        gen_pair, real_pair = aligned_pairs(objective, source, gen_img, target)
        gen_maps = nets["discriminator"](gen_pair)
        with torch.no_grad():  # the discriminators do not train in this phase
            real_maps = nets["discriminator"](real_pair)
        terms = fooling_terms(objective, self.config, gen_maps, real_maps)
        if self._features is not None:
            distance = perceptual_distance(self._features, gen_img, target)
            terms["perceptual"] = self.config.perceptual_weight * distance
        return terms

    def discriminator_terms(self, objective: Objective, nets: Networks, batch: Batch) -> Terms:
        """Tell pairs of the data from pairs of a source and its translation, at each scale."""
        source = self._source(batch)
        img = torch.cat([batch["target"], self._gen_img(nets, batch)])
        maps = nets["discriminator"](_pair(objective, img, torch.cat([source] * 2)))
        return telling_terms(objective, self.config, batch, maps)

    def penalty_inputs(
        self, objective: Objective, nets: Networks, batch: Batch
    ) -> dict[str, PenaltyInput]:
        """The discriminators of pairs, under the sources of the batch."""
        source = self._source(batch)

        def critic(discriminator: nn.Module, img: Tensor) -> Tensor:
            maps = discriminator(_pair(objective, img, source))
            return torch.cat([logits.flatten(1) for *_, logits in maps], dim=1)

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
