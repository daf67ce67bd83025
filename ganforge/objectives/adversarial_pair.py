"""The adversarial pair of noise-to-image GANs: the phases that most architectures share.

An architecture that subclasses `NoiseToImage` builds `generator(z, c) -> img` and
`discriminator(img, c) -> logits`, with z [N, z_dim], c [N, c_dim] one-hot (c_dim may be 0),
img [N, C, H, W] in [-1, 1] and logits [N]. Loss, regularizers and augmentation come from the
pipeline file, so any backbone trains with any objective.
"""

import functools
from abc import abstractmethod
from collections.abc import Callable, Iterator, Mapping, Sequence

import torch
from torch import Tensor, nn

from ganforge.config.models import UnrollConfig
from ganforge.errors import ConfigError
from ganforge.interfaces.architecture import Architecture, Phase
from ganforge.interfaces.batch import Batch, Networks, full_precision
from ganforge.interfaces.component import ConfigT
from ganforge.interfaces.generation import GenerateRequest
from ganforge.interfaces.objective import Objective, PenaltyInput, Terms
from ganforge.interfaces.spec import ImageSpec
from ganforge.layers.batchnorm import BatchNorm
from ganforge.objectives.penalties import with_penalties
from ganforge.objectives.unrolling import look_ahead, trial_batch


class NoiseToImage(Architecture[ConfigT]):
    """A generator and a discriminator; subclasses give the two networks and the latent size.

    Attributes:
        scores_alone: the discriminator scores each image by itself, whatever else is in the batch
            (no batch statistics, no dropout, no spectral norm). Real and generated images then go
            through it in one pass, which is faster for small networks.
    """

    supports_unrolling = True
    supports_matching = True
    scores_alone = False

    @property
    @abstractmethod
    def z_dim(self) -> int:
        """Latent size."""

    def latent(self, num: int, like: Tensor) -> Tensor:
        """Draw z [num, z_dim] for training, standard normal unless a paper says otherwise."""
        return torch.randn(num, self.z_dim, device=like.device)

    def condition(self, batch: Batch) -> Tensor:
        """What both networks are told of each image, c [N, c_dim]: its one-hot label."""
        return batch.label

    def gen_condition(self, objective: Objective, batch: Batch) -> Tensor:
        """What both networks are told of each generated image in training, c [N, c_dim].

        Labels are drawn anew, each as often as in the training data, so that generated images do
        not follow the real ones of the batch. The real images' conditions are kept where the loss
        or a regularizer pairs real with generated images, and where a condition is more than a
        label: then only the data know which go together.
        """
        c = self.condition(batch)
        paired = objective.loss.generator_needs_real or any(
            regularizer.pairs_images for regularizer in objective.regularizers
        )
        if paired or c is not batch.fields.get("label"):
            return c
        return batch.draw_label()

    def wrong_condition(self, batch: Batch) -> Tensor | None:
        """A condition that is not each real image's, c [N, c_dim], for `loss.matching`.

        Another label, all equally likely; where a condition is more than that, the neighbour's.
        None where there are no two conditions.
        """
        c = self.condition(batch)
        num_classes = c.shape[1]
        if c is not batch.fields.get("label"):
            return c.roll(1, dims=0) if num_classes and len(c) > 1 else None
        if num_classes < 2:
            return None
        steps = torch.randint(1, num_classes, (len(c),), device=c.device)
        return nn.functional.one_hot((c.argmax(1) + steps) % num_classes, num_classes).to(c)

    def request_condition(self, request: GenerateRequest) -> Tensor:
        """The same for generation, c [N, c_dim]: the label asked for."""
        num_classes = 0 if request.label is None else request.label.shape[1]
        return request.random_label(num_classes)

    def request_latent(self, request: GenerateRequest) -> Tensor:
        """Draw z [N, z_dim] for generation from the request's seeds, as `latent` does."""
        return request.noise(self.z_dim)

    def synthesize(self, generator: nn.Module, z: Tensor, c: Tensor) -> tuple[Tensor, Tensor]:
        """Images and the latents that a path-length penalty differentiates by.

        Args:
            generator: the plain generator.
            z: [n, z_dim].
            c: [n, c_dim].
        """
        z.requires_grad_(True)
        return generator(z, c), z

    def check(self, spec: ImageSpec, objective: Objective) -> None:
        """Refuse a penalty on per-image gradients over a network with batch statistics."""
        wanted = [r for r in objective.regularizers if r.forbids_batchnorm]
        if not wanted:
            return
        with torch.device("meta"):
            networks = self.networks(spec)
        for regularizer in wanted:
            network = networks[regularizer.target]
            norm = next((n for n, m in network.named_modules() if isinstance(m, BatchNorm)), "")
            if norm:
                raise ConfigError(
                    f"loss.regularizers: '{regularizer.name}' penalises the gradient of each image "
                    f"alone, but the {regularizer.target} of '{self.name}' has BatchNorm "
                    f"('{norm}'), which mixes the images of a batch (Gulrajani et al. 2017, "
                    f"sec. 4). Choose another norm for it (e.g. model.discriminator_norm: none)."
                )

    def phases(self, objective: Objective) -> list[Phase]:
        """Discriminator, its penalties, generator, its penalties; each draws its own latents.

        Training the discriminator on the images that the generator was just updated with would
        save a forward pass; docs/decisions.md says why it is not done.
        """
        phases = []
        losses: dict[str, Callable[..., Terms]] = {
            "discriminator": self.discriminator_terms,
            "generator": self.generator_terms,
        }
        for role, loss in losses.items():
            every = objective.n_critic if role == "generator" else 1
            if role == "generator" and objective.unroll is not None:
                loss = functools.partial(_unrolled, self, objective.unroll)
            phase = Phase(role, (role,), functools.partial(loss, objective), every=every)
            inputs = functools.partial(_penalty_inputs, self, objective)
            phases += with_penalties(phase, objective.for_target(role), inputs)
        return phases

    def generator_terms(self, objective: Objective, nets: Networks, batch: Batch) -> Terms:
        """The generator's adversarial term."""
        c = self.gen_condition(objective, batch)
        gen_img = nets["generator"](self.latent(batch.size, c), c)
        gen_logits = nets["discriminator"](objective.augment(gen_img), c)
        real_logits = None
        if objective.loss.generator_needs_real:
            real_c = self.condition(batch)
            real_logits = nets["discriminator"](objective.augment(batch.image), real_c)
        return {"adversarial": objective.loss.generator(gen_logits, real_logits)}

    def answer_term(
        self, objective: Objective, nets: Networks, batch: Batch, generated: tuple[Tensor, Tensor]
    ) -> Tensor:
        """What the discriminator of some steps ahead loses on real images, negated.

        The generator moves that discriminator, and so its loss on real images too. Without this
        half of the game's value generated images would repel each other twice as much as real ones
        attract them.
        """
        discriminator, (gen_img, gen_c) = nets["discriminator"], generated
        real_logits = discriminator(objective.augment(batch.image), self.condition(batch))
        with torch.no_grad():
            gen_logits = discriminator(objective.augment(gen_img), gen_c)
        return -objective.loss.discriminator(real_logits, gen_logits)

    def discriminator_terms(self, objective: Objective, nets: Networks, batch: Batch) -> Terms:
        """The discriminator's adversarial term, and what `loss.matching` adds to it."""
        real_logits, gen_logits, *wrong_logits = self._scores(objective, nets, batch)
        if objective.augmentation is not None:
            objective.augmentation.observe(real_logits.detach())
        batch.report("logits/real", real_logits)
        batch.report("logits/gen", gen_logits)
        if objective.loss.sign_decides:
            batch.report("accuracy/real", real_logits > 0)
            batch.report("accuracy/gen", gen_logits < 0)
        elif objective.loss.generator_needs_real:
            batch.report("accuracy/pairs", real_logits > gen_logits)
        terms = {"adversarial": objective.loss.discriminator(real_logits, gen_logits)}
        if wrong_logits:
            batch.report("accuracy/matching", real_logits > wrong_logits[0])
            matching = objective.loss.discriminator(real_logits, wrong_logits[0])
            terms["matching"] = objective.matching * matching
        return terms

    def _scores(self, objective: Objective, nets: Networks, batch: Batch) -> Sequence[Tensor]:
        """Logits of real images, of generated ones and, if asked for, of wrong pairs.

        They are scored apart, so that no statistics mix them, or at once where there are none.
        """
        discriminator = nets["discriminator"]
        pairs = self._shown(objective, nets["generator"], batch)
        if not self.scores_alone:
            return [discriminator(img, c) for img, c in pairs]
        images, conditions = zip(*pairs, strict=True)
        logits: Tensor = discriminator(torch.cat(images), torch.cat(conditions))
        return logits.chunk(len(images))

    def _shown(
        self, objective: Objective, generator: nn.Module, batch: Batch
    ) -> Iterator[tuple[Tensor, Tensor]]:
        """What the discriminator is shown, one after the other: images and their c."""
        real_img = objective.augment(batch.image)
        yield real_img, self.condition(batch)
        gen_img, gen_c = self.generated(objective, generator, batch)
        yield objective.augment(gen_img), gen_c
        wrong_c = self.wrong_condition(batch) if objective.matching else None
        if wrong_c is not None:
            yield real_img, wrong_c

    def generated(
        self, objective: Objective, generator: nn.Module, batch: Batch
    ) -> tuple[Tensor, Tensor]:
        """The step's images for the discriminator and their c, without gradient; drawn once."""
        if "gen_img" not in batch.memory:
            c = self.gen_condition(objective, batch)
            with torch.no_grad():
                batch.memory["gen_img"] = generator(self.latent(batch.size, c), c)
            batch.memory["gen_c"] = c
        return batch.memory["gen_img"], batch.memory["gen_c"]

    def generate(self, nets: Mapping[str, nn.Module], request: GenerateRequest) -> Tensor:
        """Images [N, C, H, W] from the request's seeds and conditions.

        A generator with an attribute `c_dim`, its number of classes, draws the label from the
        seed when none is given, as samples and the published model do.
        """
        self.check_request(request.truncation, request.options)
        generator = nets["generator"]
        c = self.request_condition(request)
        c_dim = getattr(generator, "c_dim", 0)
        if c.shape[1] == 0 and isinstance(c_dim, int) and c_dim > 0:
            c = request.random_label(c_dim)
        return generator(self.request_latent(request), c)  # type: ignore[no-any-return]


def _unrolled(
    architecture: NoiseToImage[ConfigT],
    config: UnrollConfig,
    objective: Objective,
    nets: Networks,
    batch: Batch,
) -> Terms:
    with full_precision(batch.image):
        c = architecture.gen_condition(objective, batch)
        gen_img = nets["generator"](architecture.latent(batch.size, c), c)
        loss = functools.partial(architecture.discriminator_terms, objective)
        ahead = look_ahead(nets, trial_batch(batch, gen_img, c), loss, config)
        terms = architecture.generator_terms(objective, ahead, batch)
        if not objective.loss.generator_needs_real:
            terms["answer"] = architecture.answer_term(objective, ahead, batch, (gen_img, c))
        return terms


def _penalty_inputs(
    architecture: NoiseToImage[ConfigT], objective: Objective, nets: Networks, batch: Batch
) -> dict[str, PenaltyInput]:
    generator, discriminator = nets.eager("generator"), nets.eager("discriminator")
    c = architecture.condition(batch)

    def critic(img: Tensor) -> Tensor:
        # The penalty sees the discriminator through the augmentation, as its loss does.
        return discriminator(objective.augment(img), c)  # type: ignore[no-any-return]

    def generated() -> tuple[Tensor, Tensor]:
        return architecture.generated(objective, generator, batch)

    def gen_critic(img: Tensor) -> Tensor:
        return discriminator(objective.augment(img), generated()[1])  # type: ignore[no-any-return]

    def synthesize(num: int) -> tuple[Tensor, Tensor]:
        gen_c = architecture.gen_condition(objective, batch)[:num]
        return architecture.synthesize(generator, architecture.latent(num, gen_c), gen_c)

    penalised = PenaltyInput(
        discriminator=discriminator,
        generator=generator,
        critic=critic,
        nimg=batch.nimg,
        real_img=batch.image.detach(),
        gen_img=lambda: generated()[0],
        synthesize=synthesize,
        gen_critic=gen_critic,
    )
    return {"": penalised}
