"""What is trained: networks, the phases that train them, and how to generate."""

import math
from abc import abstractmethod
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any, ClassVar

from torch import Tensor, nn

from ganforge.config.models import OptimizerConfig
from ganforge.errors import ConfigError, suggest
from ganforge.interfaces.batch import Batch, Networks
from ganforge.interfaces.component import Component, ConfigT
from ganforge.interfaces.generation import GenerateRequest
from ganforge.interfaces.objective import Objective, Terms
from ganforge.interfaces.spec import ImageSpec


@dataclass(frozen=True)
class Phase:
    """One kind of optimizer update within a step.

    Attributes:
        name: unique in the architecture; part of log keys and of the random seed.
        trains: roles that this phase updates; all other networks are frozen.
        loss: (networks, batch) -> named terms, whose sum is minimised.
        every: the phase runs each this many steps, at the end of the interval.
        lazy: a regularization phase that shares an optimizer with a main phase; the optimizer's
            learning rate and betas are scaled to make up for it (Karras et al. 2020,
            arXiv:1912.04958, appendix B).
        after_step: called with the networks after the optimizer step, without gradient.
    """

    name: str
    trains: tuple[str, ...]
    loss: Callable[[Networks, Batch], Terms]
    every: int = 1
    lazy: bool = False
    after_step: Callable[[Networks], None] | None = None


class Architecture(Component[ConfigT]):
    """What is trained: networks, the phases that train them, and how to generate.

    It never says how it is run: no device, rank, precision, optimizer step, file or log.
    """

    kind = "architecture"
    paper: ClassVar[str]
    """Citation: authors, year, arXiv number."""
    inputs: tuple[str, ...] = ("image",)
    """Batch fields it must have; an instance may set its own, where an option decides."""
    optional_inputs: tuple[str, ...] = ()
    """Batch fields it uses when the data has them; as for `inputs`."""
    ema_roles: tuple[str, ...] = ("generator",)
    """Networks that generate: averaged over training, measured, exported; as for `inputs`."""
    optimizer: ClassVar[OptimizerConfig] = OptimizerConfig()
    """The paper's optimizer; `train.optimizer` in the pipeline file overrides its fields."""
    optimizers: ClassVar[Mapping[str, OptimizerConfig]] = {}
    """Fields that differ for some roles; `train.optimizers` overrides them."""
    translates: ClassVar[tuple[str, ...]] = ()
    """Names of the directions it translates images in; empty for noise-to-image models.

    The first goes from source to target, a second one back. `request.options["direction"]` holds
    the one asked for; the first when it is absent.
    """
    supports_unrolling: ClassVar[bool] = False
    """Whether its phases follow `Objective.unroll`."""
    supports_matching: ClassVar[bool] = False
    """Whether its phases follow `Objective.matching`."""
    supports_truncation: ClassVar[bool] = False
    """Whether `generate` follows `request.truncation`."""
    generate_options: ClassVar[Mapping[str, str]] = {}
    """Further `request.options` that `generate` understands: name -> what it does, with unit."""
    latent_spaces: tuple[str, ...] = ("z",)
    """Spaces in which latents can be blended, the one that looks best last.

    z, the draws of `request.noise` and `request.uniform`, needs nothing more. For each other one
    `generate` calls `request.blended(space, ...)`.
    """
    example_options: ClassVar[Mapping[str, Any]] = {}
    """Options of a very small model: the contract checks build and train it."""

    @property
    def seen_features(self) -> tuple[str, ...]:
        """Feature extractors that its losses look through: records of metrics on them say so."""
        return ()

    def check(self, spec: ImageSpec, objective: Objective) -> None:
        """Refuse what cannot work before anything is built.

        Raises:
            ConfigError: an unreachable resolution, a forbidden combination, ...
        """

    @abstractmethod
    def networks(self, spec: ImageSpec) -> dict[str, nn.Module]:
        """Build the initialised networks by role."""

    @abstractmethod
    def phases(self, objective: Objective) -> list[Phase]:
        """The phases of a step, in order."""

    @abstractmethod
    def generate(self, nets: Mapping[str, nn.Module], request: GenerateRequest) -> Tensor:
        """Images [N, C, H, W] in [-1, 1], one per seed: the one inference path.

        Args:
            nets: at least the `ema_roles`, in eval mode, without gradient.
            request: seeds and conditions. The result depends on nothing else.
        """

    def num_styles(self, nets: Mapping[str, nn.Module]) -> int:
        """Layers that take their own row of the last latent space, [N, layers, ...]; 0 for none.

        With layers, styles can be mixed: some from one seed, the others from another.
        """
        return 0

    def check_request(self, truncation: float | None, options: Mapping[str, Any]) -> None:
        """Refuse what `generate` would not understand, before anything is generated.

        Raises:
            ConfigError: truncation where there is none, or that is negative or not finite; an
                unknown option, near names listed.
        """
        if truncation is not None and not self.supports_truncation:
            raise ConfigError(
                f"truncation={truncation} was asked for, but the architecture '{self.name}' has "
                f"no truncation. Leave it out."
            )
        is_number = isinstance(truncation, float | int)
        if truncation is not None and not (
            is_number and math.isfinite(truncation) and truncation >= 0
        ):
            raise ConfigError(
                f"truncation={truncation} was asked for of '{self.name}'. Give a finite number, 0 "
                f"or more, e.g. 0.7, or leave it out."
            )
        known = {*self.generate_options, *(("direction",) if self.translates else ())}
        for name in options:
            if name not in known:
                raise ConfigError(
                    f"The architecture '{self.name}' has no generation option '{name}'. "
                    f"{suggest(name, known)}"
                )
        direction = options.get("direction")
        if direction is not None and direction not in self.translates:
            raise ConfigError(
                f"The architecture '{self.name}' has no direction {direction!r}. "
                f"{suggest(str(direction), self.translates)}"
            )

    def chunks(self, batch: Batch) -> Iterator[Batch]:
        """Cut a slot's batch into parts that are trained one after the other.

        The phases run for each part. Sequence models yield a few frames at a time and carry
        detached state in `batch.memory` (truncated back-propagation through time).
        """
        yield batch
