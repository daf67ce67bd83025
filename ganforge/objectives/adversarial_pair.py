"""The adversarial pair of noise-to-image GANs: the phases that most architectures share.

An architecture that subclasses `NoiseToImage` builds `generator(z, c) -> img` and
`discriminator(img, c) -> logits`, with z [N, z_dim], c [N, c_dim] (one-hot for classes; c_dim may
be 0), img [N, C, H, W] in [-1, 1] and logits [N]. Loss, regularizers and augmentation come from the
pipeline file, so any backbone trains with any objective.
"""

import functools
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import replace

import torch
from torch import Tensor, nn

from ganforge.errors import ConfigError, ShapeError
from ganforge.interfaces.architecture import Architecture, Phase
from ganforge.interfaces.batch import Batch, Networks
from ganforge.interfaces.component import ConfigT
from ganforge.interfaces.conditions import sizes
from ganforge.interfaces.generation import GenerateRequest
from ganforge.interfaces.objective import Objective, PenaltyInput, PhaseLoss, Terms
from ganforge.objectives.penalties import with_penalties

_GENERATED = "generated"
"""Key of `batch.memory`: the step's generated images and their conditions."""
_MISSING = {
    "attributes": "needs attributes, and none were given. Give one value for each: attributes=...",
    "text": "draws captions, and none was given. Say what to draw: --text 'a red apple', or "
    "text=... in Python.",
}


class NoiseToImage(Architecture[ConfigT]):
    """A generator and a discriminator; subclasses give the two networks and the latent size."""

    @property
    def z_dim(self) -> int:
        """Latent size: the option `z_dim`. Override it if the option has another name."""
        return int(self.config.z_dim)  # type: ignore[attr-defined]  # most configs have it

    @property
    def per_sample_discriminator(self) -> bool:
        """Whether an image's score is independent of the other images in the batch.

        True without batch statistics, dropout and spectral norm. Real and generated images then
        share one forward pass, which is faster for small networks.
        """
        return False

    def latent(self, num: int, like: Tensor) -> Tensor:
        """Draw z [num, z_dim] for training, standard normal unless a paper says otherwise."""
        return torch.randn(num, self.z_dim, device=like.device)

    def condition(self, batch: Batch) -> Tensor:
        """Conditioning vectors of the real images, c [N, c_dim]: `conditions`, concatenated."""
        if not self.conditions:
            return batch.image.new_zeros(batch.size, 0)
        return torch.cat([batch[name] for name in self.conditions], dim=1)

    def gen_condition(self, objective: Objective, batch: Batch) -> Tensor:
        """Conditioning vectors of the generated images in training, c [N, c_dim].

        Labels are drawn anew, each as often as in the training data, so that generated images do
        not follow the real ones of the batch. The real images' conditions are kept if the loss or
        a regularizer pairs real with generated images, and for other conditions than a label: only
        the data know which attributes or words occur together.
        """
        is_paired = objective.loss.generator_needs_real or any(
            regularizer.pairs_images for regularizer in objective.regularizers
        )
        if is_paired or self.conditions != ("label",):
            return self.condition(batch)
        return self.condition(replace(batch, fields=batch.fields | {"label": batch.draw_label()}))

    def request_condition(self, request: GenerateRequest) -> Tensor:
        """Conditioning vectors for generation, c [N, c_dim]; labels are drawn if none are given.

        Raises:
            ConfigError: the model needs text or attributes, and the request has none.
            ShapeError: they do not have the model's size.
        """
        found = [self._requested(name, request) for name in self.conditions]
        return torch.cat(found, dim=1) if found else request.random_label(0)

    def _requested(self, name: str, request: GenerateRequest) -> Tensor:
        if name == "label":
            return request.random_label(self.spec.num_classes)
        given: Tensor | None = getattr(request, name)
        if given is None:
            raise ConfigError(f"'{self.name}' {_MISSING[name]}")
        size = sizes(self.spec)[name]
        if given.shape != (request.size, size):
            raise ShapeError(
                f"{name} has shape {list(given.shape)}; this model wants [{request.size}, {size}]: "
                f"one row per seed, as in its training data."
            )
        return given.to(request.device)

    def request_latent(self, request: GenerateRequest) -> Tensor:
        """Draw z [N, z_dim] for generation from the request's seeds, as `latent` does."""
        return request.noise(self.z_dim)

    def synthesize(self, generator: nn.Module, z: Tensor, c: Tensor) -> tuple[Tensor, Tensor]:
        """Images of z [n, z_dim], c [n, c_dim], and the latents that path lengths refer to."""
        z.requires_grad_(True)
        return generator(z, c), z

    def phases(self, objective: Objective) -> list[Phase]:
        """Discriminator, its penalties, generator, its penalties; each draws its own latents.

        Training the discriminator on the images that the generator was just updated with would
        save a forward pass; docs/decisions.md says why it is not done.
        """
        generator: PhaseLoss = functools.partial(self.generator_terms, objective)
        for term in objective.terms:
            generator = term.wrap_generator(self, objective, generator)
        discriminator: PhaseLoss = functools.partial(self.discriminator_terms, objective)
        inputs = functools.partial(self.penalty_inputs, objective)
        return [
            phase
            for role, loss, every in (
                ("discriminator", discriminator, 1),
                ("generator", generator, objective.n_critic),
            )
            for phase in with_penalties(
                Phase(role, (role,), loss, every=every), objective.for_target(role), inputs
            )
        ]

    def generator_terms(self, objective: Objective, nets: Networks, batch: Batch) -> Terms:
        """The generator's adversarial term."""
        c, discriminator = self.gen_condition(objective, batch), nets["discriminator"]
        gen_img = nets["generator"](self.latent(batch.size, c), c)
        return objective.generator(
            discriminator(objective.augment(gen_img), c),
            lambda: discriminator(objective.augment(batch.image), self.condition(batch)),
        )

    def discriminator_terms(self, objective: Objective, nets: Networks, batch: Batch) -> Terms:
        """The discriminator's adversarial term, and what `loss.terms` adds to it."""
        real_img, real_c = objective.augment(batch.image), self.condition(batch)
        others: dict[str, Tensor] = {}

        def shown() -> Iterator[tuple[Tensor, Tensor]]:
            yield real_img, real_c
            gen_img, gen_c = self.generated(objective, nets["generator"], batch)
            yield objective.augment(gen_img), gen_c
            others.update(objective.other_conditions(self.conditions, real_c))
            yield from ((real_img, c) for c in others.values())

        real_logits, gen_logits, *rescored = self._scores(nets["discriminator"], shown())
        by_term = dict(zip(others, rescored, strict=True))
        return objective.discriminator(batch, real_logits, gen_logits, rescored=by_term)

    def _scores(
        self, discriminator: nn.Module, shown: Iterator[tuple[Tensor, Tensor]]
    ) -> Sequence[Tensor]:
        """Logits of images under their conditions: in one pass if no statistics mix them."""
        if not self.per_sample_discriminator:
            return [discriminator(img, c) for img, c in shown]
        images, conditions = zip(*shown, strict=True)
        logits: Tensor = discriminator(torch.cat(images), torch.cat(conditions))
        return logits.chunk(len(images))

    def generated(
        self, objective: Objective, generator: nn.Module, batch: Batch
    ) -> tuple[Tensor, Tensor]:
        """The step's images for the discriminator and their c, without gradient; drawn once."""
        if _GENERATED not in batch.memory:
            c = self.gen_condition(objective, batch)
            with torch.no_grad():
                batch.memory[_GENERATED] = generator(self.latent(batch.size, c), c), c
        found: tuple[Tensor, Tensor] = batch.memory[_GENERATED]
        return found

    def with_generated(self, batch: Batch, gen_img: Tensor, gen_c: Tensor) -> Batch:
        """The batch with these as the step's generated images; its reports go nowhere."""
        return replace(batch, memory={_GENERATED: (gen_img, gen_c)}, reports={})

    def penalty_inputs(
        self, objective: Objective, nets: Networks, batch: Batch
    ) -> dict[str, PenaltyInput]:
        """What penalties on the pair are computed from, for `with_penalties`."""
        generator, discriminator = nets.eager("generator"), nets.eager("discriminator")
        c = self.condition(batch)

        def critic(c: Callable[[], Tensor]) -> Callable[[Tensor], Tensor]:
            # The penalty sees the discriminator through the augmentation, as its loss does.
            return lambda img: discriminator(objective.augment(img), c())

        def generated() -> tuple[Tensor, Tensor]:
            return self.generated(objective, generator, batch)

        def synthesize(num: int) -> tuple[Tensor, Tensor]:
            gen_c = self.gen_condition(objective, batch)[:num]
            return self.synthesize(generator, self.latent(num, gen_c), gen_c)

        penalized = PenaltyInput(
            discriminator=discriminator,
            generator=generator,
            critic=critic(lambda: c),
            nimg=batch.nimg,
            real_img=batch.image.detach(),
            gen_img=lambda: generated()[0],
            synthesize=synthesize,
            gen_critic=critic(lambda: generated()[1]),
        )
        return {"": penalized}

    def generate(self, nets: Mapping[str, nn.Module], request: GenerateRequest) -> Tensor:
        """Images [N, C, H, W] from the request's seeds and conditions."""
        self.check_request(request.truncation, request.options)
        c = self.request_condition(request)
        return nets["generator"](self.request_latent(request), c)  # type: ignore[no-any-return]
