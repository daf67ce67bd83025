"""GAN-INT-CLS: text to image with a matching-aware discriminator and interpolated captions.

Source: Reed et al. 2016, arXiv:1605.05396 (algorithm 1; equation 5). Deviations from the paper: the
caption encoder is any that the data were embedded with, in place of a character CNN-RNN trained
with the images; the wrong captions are those of the neighbours in the slot; any adversarial loss.
The authors' program also has residual blocks on the coarse grids, which the paper does not mention
and which are left out.
"""

from collections.abc import Mapping
from typing import cast

import torch
from torch import Tensor, nn

from ganforge.api import (
    Batch,
    ConfigError,
    GenerateRequest,
    ImageSpec,
    Networks,
    NoiseToImage,
    Objective,
    OptimizerConfig,
    ShapeError,
    Terms,
)
from ganforge.layers import base_grid
from ganforge_text.networks import GanIntClsConfig, TextDiscriminator, TextGenerator


class GanIntCls(NoiseToImage[GanIntClsConfig]):
    """Text to image (Reed et al. 2016): captions by embedding, right and wrong ones to learn by."""

    name, Config = "gan_int_cls", GanIntClsConfig
    paper = "Reed et al. 2016, arXiv:1605.05396"
    inputs = ("image", "text")
    supports_matching = False  # its own option does the same, in halves
    optimizer = OptimizerConfig(name="adam", lr=2e-4, betas=(0.5, 0.999))
    example_options = {
        "z_dim": 8,
        "text_features": 8,
        "generator_channels": 8,
        "discriminator_channels": 8,
    }

    @property
    def z_dim(self) -> int:
        """Latent size."""
        return self.config.z_dim

    def check(self, spec: ImageSpec, objective: Objective) -> None:
        """Refuse data without embeddings, sizes that are not reached, and forbidden penalties."""
        if spec.text_dim == 0:
            raise ConfigError(
                f"model.architecture: '{self.name}' draws captions, but the data have no "
                f"embeddings of them. Make them with `ganforge data embed SHARDS OUT --encoder "
                f"word_vectors path=words.txt` and set data.shards to OUT, or set "
                f"data.text_encoder."
            )
        base_grid(spec.height, spec.width, self.name)
        super().check(spec, objective)

    def networks(self, spec: ImageSpec) -> dict[str, nn.Module]:
        """A generator and a discriminator that both read the caption."""
        return {
            "generator": TextGenerator(self.config, spec),
            "discriminator": TextDiscriminator(self.config, spec),
        }

    def condition(self, batch: Batch) -> Tensor:
        """The embedded captions [N, D]."""
        return batch["text"]

    def request_condition(self, request: GenerateRequest) -> Tensor:
        """The captions to draw, [N, D].

        Raises:
            ConfigError: the request has none.
        """
        if request.text is None:
            raise ConfigError(
                f"'{self.name}' draws captions, and none was given. Say what to draw: --text 'a "
                f"red apple', or text=... in Python."
            )
        return request.text.to(request.device)

    def generate(self, nets: Mapping[str, nn.Module], request: GenerateRequest) -> Tensor:
        """Images [N, C, H, W] of the request's captions, varied by its seeds."""
        text = self.request_condition(request)
        wanted = (request.size, cast(TextGenerator, nets["generator"]).text_dim)
        if text.shape != wanted:
            raise ShapeError(
                f"text has shape {list(text.shape)}; this model wants {list(wanted)}: one "
                f"embedding per seed, by the encoder that embedded its training data."
            )
        return super().generate(nets, request)

    def generator_terms(self, objective: Objective, nets: Networks, batch: Batch) -> Terms:
        """Draw the captions of the batch, and points between two of them (equation 5)."""
        terms = super().generator_terms(objective, nets, batch)
        weight, share = self.config.interpolation_weight, self.config.interpolation
        if weight:
            text = self.condition(batch)
            between = torch.lerp(self._neighbours(batch), text, share)
            gen_img = nets["generator"](self.latent(batch.size, text), between)
            gen_logits = nets["discriminator"](objective.augment(gen_img), between)
            real_logits = None
            if objective.loss.generator_needs_real:
                real_logits = nets["discriminator"](objective.augment(batch.image), text)
            loss = objective.loss.generator(gen_logits, real_logits)
            terms["interpolated"] = weight * loss
        return terms

    def discriminator_terms(self, objective: Objective, nets: Networks, batch: Batch) -> Terms:
        """Real images with their captions, against generated ones and wrong captions in halves."""
        if not self.config.matching:
            return super().discriminator_terms(objective, nets, batch)
        text, discriminator = self.condition(batch), nets["discriminator"]
        pairs = torch.cat([text, self._neighbours(batch)])
        right, wrong = discriminator(objective.augment(batch.image), pairs).chunk(2)
        gen_img, gen_text = self.generated(objective, nets["generator"], batch)
        gen_logits = discriminator(objective.augment(gen_img), gen_text)
        if objective.augmentation is not None:
            objective.augmentation.observe(right.detach())
        batch.report("logits/real", right)
        batch.report("logits/gen", gen_logits)
        batch.report("logits/wrong_text", wrong)
        batch.report("accuracy/real", right > 0)
        batch.report("accuracy/gen", gen_logits < 0)
        batch.report("accuracy/wrong_text", wrong < 0)
        return {
            "adversarial": objective.loss.discriminator(right, gen_logits) / 2,
            "matching": objective.loss.discriminator(right, wrong) / 2,
        }

    def _neighbours(self, batch: Batch) -> Tensor:
        """Another caption of the slot for each image, [N, D]: the one before it.

        A function of the slot alone, so the result does not depend on the number of ranks.

        Raises:
            ConfigError: the slot has one image.
        """
        if batch.size < 2:
            raise ConfigError(
                f"train.batch_size: '{self.name}' takes the wrong caption of an image from its "
                f"neighbour in the slot, and a slot has {batch.size} image. Use at least two "
                f"images per slot (a larger train.batch_size, or fewer train.slots)."
            )
        return self.condition(batch).roll(1, dims=0)
