"""What is trained: networks, the phases that train them, and how to generate."""

import math
from abc import abstractmethod
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any, ClassVar

import torch
from torch import Tensor, nn

from ganforge.config.models import OptimizerConfig
from ganforge.errors import ConfigError, suggest
from ganforge.interfaces.batch import Batch, Networks
from ganforge.interfaces.component import Component, ConfigT
from ganforge.interfaces.conditions import CONDITIONS, sizes
from ganforge.interfaces.generation import GenerateRequest
from ganforge.interfaces.objective import Objective, PhaseLoss
from ganforge.interfaces.spec import FieldSpec, ImageSpec


@dataclass(frozen=True)
class Phase:
    """One kind of optimizer update within a step.

    Attributes:
        name: unique in the architecture; part of log keys and of the random seed.
        trains: roles that this phase updates; all other networks are frozen.
        loss: (networks, batch) -> named terms, whose sum is minimized.
        every: the phase runs every N steps, at the end of the interval.
        lazy: a regularization phase that shares an optimizer with a main phase; the optimizer's
            learning rate and betas are scaled to make up for it (Karras et al. 2020,
            arXiv:1912.04958, appendix B).
        after_step: called with the networks after the optimizer step, without gradient.
        due: (nimg, chunk) -> whether to run in this chunk of the batch; None for always. A phase
            that is not due takes no optimizer step. Must be the same on all ranks.
    """

    name: str
    trains: tuple[str, ...]
    loss: PhaseLoss
    every: int = 1
    lazy: bool = False
    after_step: Callable[[Networks], None] | None = None
    due: Callable[[int, int], bool] | None = None

    def is_due(self, step: int, nimg: int, chunk: int) -> bool:
        """Whether to run in a chunk of a step; `step` counts from 0."""
        is_turn = (step + 1) % self.every == 0
        return is_turn and (self.due is None or self.due(nimg, chunk))


@dataclass(frozen=True)
class Reads:
    """Batch fields that an architecture reads; the data may lack the optional ones."""

    required: tuple[str, ...]
    optional: tuple[str, ...] = ()

    def __contains__(self, name: object) -> bool:
        return name in self.required or name in self.optional

    @property
    def conditions(self) -> tuple[str, ...]:
        """Those that can condition the networks."""
        return tuple(name for name in CONDITIONS if name in self)


class Architecture(Component[ConfigT]):
    """What is trained: networks, the phases that train them, and how to generate.

    It is bound to its data when it is built: `self.spec`. It never says how it is run: no device,
    rank, precision, optimizer step, file or log.
    """

    kind = "architecture"
    paper: ClassVar[str]
    """Citation: authors, year, arXiv number."""
    inputs: ClassVar[tuple[str, ...]] = ("image",)
    """Batch fields that the data must have."""
    optional_inputs: ClassVar[tuple[str, ...]] = ()
    """Batch fields that are used if the data have them."""
    ema_roles: tuple[str, ...] = ("generator",)
    """Networks that generate: averaged over training, measured, exported."""
    optimizer: ClassVar[OptimizerConfig] = OptimizerConfig()
    """The paper's optimizer; `train.optimizer` in the pipeline file overrides its fields."""
    optimizers: ClassVar[Mapping[str, OptimizerConfig]] = {}
    """Fields that differ for some roles; `train.optimizers` overrides them."""
    directions: ClassVar[tuple[str, ...]] = ()
    """Directions in which it translates images; empty for noise-to-image models.

    The first goes from source to target, a second one back. `request.options["direction"]` holds
    the requested one; the first if it is absent.
    """
    stride: int | None = None
    """Translates images of any height and width that are multiples of it; None: only of the size
    of `spec`. Images of other sizes are padded to it and cut back."""
    receptive_field: int | None = None
    """Side, in pixels, of the square that the layers see around a pixel of a translation; None: not
    known. Smaller tiles log a warning. Normalization, which looks at the whole tile, does not
    count."""
    generate_options: ClassVar[Mapping[str, str]] = {}
    """Further `request.options` that `generate` understands: name -> what it does, with unit."""
    latent_spaces: tuple[str, ...] = ("z",)
    """Spaces in which latents can be blended, the one that looks best last.

    z, the draws of `request.noise` and `request.uniform`, needs nothing more. For each other one
    `generate` calls `request.blended(space, ...)`.
    """
    example_options: ClassVar[Mapping[str, Any]] = {}
    """Options of a very small model: the contract checks build and train it."""
    example_fields: ClassVar[Mapping[str, FieldSpec]] = {}
    """Fields beyond the usual ones that it reads, as the contract checks make them up: instance
    maps, boxes, keypoints, ... Those of the data are in `spec.fields`."""

    def __init__(self, config: ConfigT, spec: ImageSpec) -> None:
        """Bind the architecture to its data; `spec` has only the conditions that the run uses."""
        super().__init__(config)
        self.spec = spec

    @classmethod
    def reads(cls, config: ConfigT) -> Reads:
        """The batch fields that it reads with these options, before the data are known."""
        return Reads(cls.inputs, cls.optional_inputs)

    @property
    def conditions(self) -> tuple[str, ...]:
        """What its networks are conditioned on: "label", "attributes", "text", or nothing."""
        has = sizes(self.spec)
        return tuple(name for name in self.reads(self.config).conditions if name in has)

    @property
    def c_dim(self) -> int:
        """Length of the conditioning vector; 0 for an unconditional model."""
        has = sizes(self.spec)
        return sum(has[name] for name in self.conditions)

    @property
    def is_video(self) -> bool:
        """Whether it translates frame sequences [N, T, C, H, W] instead of images."""
        return "frames" in self.reads(self.config)

    @property
    def seen_features(self) -> tuple[str, ...]:
        """Feature extractors that its losses use; records of metrics on them mention it."""
        return ()

    def check(self, objective: Objective) -> None:
        """Raise a ConfigError for what cannot work, before any network is built."""

    @abstractmethod
    def networks(self) -> dict[str, nn.Module]:
        """Build the initialized networks by role."""

    @abstractmethod
    def phases(self, objective: Objective) -> list[Phase]:
        """The phases of a step, in order."""

    @abstractmethod
    def generate(self, nets: Mapping[str, nn.Module], request: GenerateRequest) -> Tensor:
        """Images [N, C, H, W] in [-1, 1], one per seed: the one inference path.

        `nets` holds at least the `ema_roles`, in eval mode, without gradient. Apart from them, the
        result depends on the request alone.

        A translator returns the size of `request.source`. One that translates video is called for
        one chunk of frames after the other: it returns the frames [N, T, C, H, W] of this chunk,
        which begins at `request.frame_index`, and keeps in `request.state` what the next chunk
        needs. The size of the chunks must not change the frames.
        """

    def num_styles(self, nets: Mapping[str, nn.Module]) -> int:
        """Layers that take their own row of the last latent space, [N, layers, ...]; 0 for none.

        With layers, styles can be mixed: some from one seed, the others from another.
        """
        return 0

    def meta_networks(self) -> dict[str, nn.Module]:
        """The networks on the meta device, to be inspected before they are built."""
        with torch.device("meta"):
            return self.networks()

    @classmethod
    def check_request(cls, truncation: float | None, options: Mapping[str, Any]) -> None:
        """Refuse what `generate` does not understand, before anything is generated.

        Raises:
            ConfigError: truncation without effect or out of range; an unknown option, near names
                listed.
        """
        if truncation is not None:
            cls.check_truncation(truncation)
            if not (isinstance(truncation, float | int) and 0 <= truncation < math.inf):
                raise ConfigError(
                    f"truncation={truncation} is not valid for '{cls.name}'. Give a finite number, "
                    f"0 or more, e.g. 0.7, or leave it out."
                )
        known = {*cls.generate_options, *(("direction",) if cls.directions else ())}
        for name in options:
            if name not in known:
                raise ConfigError(
                    f"The architecture '{cls.name}' has no generation option '{name}'. "
                    f"{suggest(name, known)}"
                )
        direction = options.get("direction")
        if direction is not None and direction not in cls.directions:
            raise ConfigError(
                f"The architecture '{cls.name}' has no direction {direction!r}. "
                f"{suggest(str(direction), cls.directions)}"
            )

    @classmethod
    def check_truncation(cls, truncation: float) -> None:
        """Raise a ConfigError for a truncation that `generate` does not follow: by default, any."""
        raise ConfigError(
            f"truncation={truncation} was given, but the architecture '{cls.name}' has no "
            f"truncation. Leave it out."
        )

    def chunks(self, batch: Batch) -> Iterator[Batch]:
        """Cut a slot's batch into parts that are trained one after the other.

        The phases run for each part. Sequence models yield a few frames at a time and carry
        detached state in `batch.memory` (truncated back-propagation through time).
        """
        yield batch
