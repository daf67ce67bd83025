"""GAN-INT-CLS: text to image with a matching-aware discriminator and interpolated captions.

Source: Reed et al. 2016, arXiv:1605.05396 (algorithm 1; equation 5). Deviations from the paper: the
caption encoder is any that the data were embedded with, in place of a character CNN-RNN trained
with the images; the wrong captions are those of the neighbors in the slot; any adversarial loss.
The authors' program also has residual blocks on the coarse grids, which the paper does not mention
and which are left out.
"""

import torch
from torch import Tensor, nn

from ganforge.api import (
    Batch,
    ConfigError,
    Networks,
    NoiseToImage,
    Objective,
    OptimizerConfig,
    Terms,
)
from ganforge.layers import base_grid
from ganforge_text.networks import GanIntClsConfig, TextDiscriminator, TextGenerator


class GanIntCls(NoiseToImage[GanIntClsConfig]):
    """Text to image (Reed et al. 2016), trained on matching and on mismatched captions."""

    name, Config = "gan_int_cls", GanIntClsConfig
    paper = "Reed et al. 2016, arXiv:1605.05396"
    inputs = ("image", "text")
    optimizer = OptimizerConfig(name="adam", lr=2e-4, betas=(0.5, 0.999))
    example_options = {
        "z_dim": 8,
        "text_features": 8,
        "generator_channels": 8,
        "discriminator_channels": 8,
    }

    def check(self, objective: Objective) -> None:
        """Refuse data without embeddings, sizes that are not reached, and forbidden penalties."""
        spec = self.spec
        if spec.text_dim == 0:
            raise ConfigError(
                f"model.architecture: '{self.name}' draws captions, but the data have no "
                f"embeddings of them. Make them with `ganforge data embed SHARDS OUT --encoder "
                f"word_vectors path=words.txt` and set data.shards to OUT, or set "
                f"data.text_encoder."
            )
        base_grid(spec.height, spec.width, self.name)
        objective.refuse_term(
            "mismatched_pairs", f"'{self.name}' has it built in (model.matching), in halves"
        )

    def networks(self) -> dict[str, nn.Module]:
        """A generator and a discriminator that both read the caption."""
        return {
            "generator": TextGenerator(self.config, self.spec),
            "discriminator": TextDiscriminator(self.config, self.spec),
        }

    def generator_terms(self, objective: Objective, nets: Networks, batch: Batch) -> Terms:
        """Images of the captions of the batch, and of points between two captions (equation 5)."""
        terms = super().generator_terms(objective, nets, batch)
        weight, share = self.config.interpolation_weight, self.config.interpolation
        if weight:
            text, discriminator = self.condition(batch), nets["discriminator"]
            between = torch.lerp(self._neighbors(batch), text, share)
            gen_img = nets["generator"](self.latent(batch.size, text), between)
            interpolated = objective.generator(
                discriminator(objective.augment(gen_img), between),
                lambda: discriminator(objective.augment(batch.image), text),
            )
            terms["interpolated"] = weight * interpolated["adversarial"]
        return terms

    def discriminator_terms(self, objective: Objective, nets: Networks, batch: Batch) -> Terms:
        """Real images with their captions, against generated ones and wrong captions, half each."""
        if not self.config.matching:
            return super().discriminator_terms(objective, nets, batch)
        text, discriminator = self.condition(batch), nets["discriminator"]
        pairs = torch.cat([text, self._neighbors(batch)])
        right, wrong = discriminator(objective.augment(batch.image), pairs).chunk(2)
        gen_img, gen_text = self.generated(objective, nets["generator"], batch)
        gen_logits = discriminator(objective.augment(gen_img), gen_text)
        terms = objective.discriminator(batch, right, gen_logits)
        batch.report("accuracy/mismatched", right > wrong)
        terms["matching"] = objective.loss.discriminator(right, wrong)
        return {name: term / 2 for name, term in terms.items()}

    def _neighbors(self, batch: Batch) -> Tensor:
        """Another caption of the slot for each image, [N, D]: the one before it.

        A function of the slot alone, so the result does not depend on the number of ranks.

        Raises:
            ConfigError: the slot has one image.
        """
        if batch.size < 2:
            raise ConfigError(
                f"train.batch_size: '{self.name}' takes the wrong caption of an image from its "
                f"neighbor in the slot, and a slot has {batch.size} image. Use at least two "
                f"images per slot (a larger train.batch_size, or fewer train.slots)."
            )
        return self.condition(batch).roll(1, dims=0)
