"""The typed pipeline file: every section, field, unit and default, and the rules between them.

Loading, overriding and error positions are in `ganforge.config.load`; this module imports
nothing heavy, so that command-line help stays fast.
"""

from typing import Any, Literal

from pydantic import (
    BaseModel,
    ConfigDict,
    Field,
    PrivateAttr,
    SerializerFunctionWrapHandler,
    field_validator,
    model_serializer,
    model_validator,
)

from ganforge.config.schedules import Schedule, Scheduled, ScheduledNonNegative
from ganforge.config.source_locations import Origins

_MAX_SIDE = 16384
_MAX_GRID_SIDE = 256
# Beyond any run; keeps counts of images in the range of a 64-bit integer.
_MAX_KIMG = 1e12


class StrictModel(BaseModel):
    """A frozen model without unknown keys or non-finite numbers: the base of all configuration."""

    model_config = ConfigDict(extra="forbid", frozen=True, allow_inf_nan=False)


class ComponentConfig(BaseModel):
    """The choice of a component: its name, and beside it the component's own options.

    `r1` and `{name: r1, gamma: 1.0}` are both valid; the options are checked by the component.
    """

    model_config = ConfigDict(extra="allow", frozen=True)

    name: str = Field(description="Registered name; `ganforge plugins list` shows all.")

    @model_validator(mode="before")
    @classmethod
    def _from_name(cls, value: Any) -> Any:
        return {"name": value} if isinstance(value, str) else value

    @property
    def options(self) -> dict[str, Any]:
        """The component's own options, not yet validated."""
        return dict(self.model_extra or {})


def _height_width(value: int | tuple[int, int]) -> tuple[int, int]:
    return (value, value) if isinstance(value, int) else value


class DataConfig(StrictModel):
    """Where images come from, how they are stored, and how they are read."""

    source: ComponentConfig | None = Field(
        None, description="Raw images for `prepare`, e.g. {name: folder, path: photos}."
    )
    shards: str | None = Field(
        None,
        description="Folder or URL with index.json and shards. Default: <run_dir>/shards, "
        "written by `prepare`.",
    )
    text_encoder: ComponentConfig | None = Field(
        None,
        description="Embeds the captions in `prepare`, e.g. {name: word-vectors, path: "
        "words.txt}. Shards that exist are embedded by `ganforge data embed`.",
    )
    resolution: int | tuple[int, int] | None = Field(
        None, description="Side, or [height, width], in pixels. Default: as in the source."
    )
    channels: Literal[1, 3, 4] | None = Field(
        None, description="1 grey, 3 RGB, 4 RGBA. Default: as in the source."
    )
    resize: Literal["none", "pad", "crop", "fit", "stretch"] = Field(
        "crop",
        description="How `prepare` reaches the resolution: none (sizes must match), pad with "
        "`background`, crop (scale the short side, cut the centre), fit (scale the long side, "
        "pad), stretch.",
    )
    background: tuple[int, int, int] = Field(
        (255, 255, 255), description="RGB, 0 to 255: under transparency and as padding."
    )
    use_labels: bool | None = Field(
        None, description="Feed labels to the model. Default: when the architecture takes them."
    )
    flip: bool = Field(False, description="Mirror each image left-right with probability 1/2.")
    workers: int = Field(1, ge=0, description="Reader processes per rank; 0 reads in place.")
    shuffle_window: int = Field(
        16384, gt=0, description="Samples of a lane that are shuffled together."
    )
    samples_per_shard: int = Field(4096, gt=0, description="For `prepare`.")
    cache_dir: str | None = Field(None, description="Where remote shards are cached.")
    cache_bytes: int = Field(50 * 2**30, gt=0, description="Size limit of the cache, in bytes.")
    on_bad_sample: Literal["error", "skip"] = Field(
        "error", description="skip replaces an undecodable sample by its neighbour, counted."
    )
    max_bad_samples: int = Field(100, ge=0, description="More skipped samples stop the run.")

    @field_validator("resolution")
    @classmethod
    def _sides_in_range(cls, value: int | tuple[int, int] | None) -> int | tuple[int, int] | None:
        if value is not None and not all(1 <= side <= _MAX_SIDE for side in _height_width(value)):
            raise ValueError(f"each side must be 1 to {_MAX_SIDE} pixels")
        return value

    @property
    def height_width(self) -> tuple[int, int] | None:
        """The resolution as (height, width)."""
        return None if self.resolution is None else _height_width(self.resolution)


class ModelConfig(BaseModel):
    """The architecture and, beside it, the architecture's own options."""

    model_config = ConfigDict(extra="allow", frozen=True)

    architecture: str = Field(description="Registered name; `ganforge plugins list` shows all.")

    @property
    def options(self) -> dict[str, Any]:
        """The architecture's own options, not yet validated."""
        return dict(self.model_extra or {})


class UnrollConfig(StrictModel):
    """Discriminator steps that the generator looks ahead (Metz et al. 2017, arXiv:1611.02163)."""

    steps: int = Field(5, gt=0, description="How many; each costs a second derivative.")
    lr: float = Field(
        gt=0, description="Learning rate of these steps, which are plain gradient descent."
    )


class LossConfig(BaseModel):
    """The adversarial loss, its own options, and the regularizers."""

    model_config = ConfigDict(extra="allow", frozen=True)

    name: str = Field("nonsaturating", description="Adversarial loss.")
    regularizers: tuple[ComponentConfig, ...] = Field((), description="E.g. {name: r1, gamma: 1}.")
    n_critic: int = Field(1, gt=0, description="Discriminator steps per generator step.")
    matching: float = Field(
        0.0,
        ge=0,
        description="Weight of real images with wrong conditions, which the discriminator learns "
        "to tell from those with the right ones (Reed et al. 2016, algorithm 1): generated images "
        "then show more plainly what was asked for.",
    )
    unroll: UnrollConfig | None = Field(
        None, description="Let the generator look some discriminator steps ahead."
    )

    @model_validator(mode="before")
    @classmethod
    def _from_name(cls, value: Any) -> Any:
        return {"name": value} if isinstance(value, str) else value

    @property
    def options(self) -> dict[str, Any]:
        """The loss's own options, not yet validated."""
        return dict(self.model_extra or {})


class OptimizerConfig(StrictModel):
    """One optimizer. Fields an optimizer does not have are ignored by it."""

    name: Literal["adam", "adamw", "rmsprop", "sgd"] = "adam"
    lr: float = Field(2e-4, gt=0, description="Learning rate.")
    betas: tuple[Scheduled, Scheduled] = Field(
        (0.5, 0.999), description="Adam's decay rates; each a number or a schedule."
    )
    eps: float = Field(1e-8, gt=0, description="Adam's and RMSprop's epsilon.")
    momentum: float = Field(0.0, ge=0, description="SGD and RMSprop.")
    alpha: float = Field(0.99, description="RMSprop's smoothing constant.")
    weight_decay: float = Field(0.0, ge=0, description="L2 for adam and sgd, decoupled for adamw.")

    @field_validator("betas")
    @classmethod
    def _betas_in_range(
        cls, value: tuple[float | Schedule, float | Schedule]
    ) -> tuple[float | Schedule, float | Schedule]:
        ends = [(b.start, b.to) if isinstance(b, Schedule) else (b,) for b in value]
        if not all(0 <= beta < 1 for pair in ends for beta in pair):
            shown = [pair[0] if len(pair) == 1 else list(pair) for pair in ends]
            raise ValueError(f"betas must be in [0, 1), got {shown}")
        return value

    def override(self, *others: "OptimizerConfig | None") -> "OptimizerConfig":
        """This optimizer with the fields that each of `others` sets explicitly."""
        values = dict(self)
        for other in others:
            if other is not None:
                values |= {name: getattr(other, name) for name in other.model_fields_set}
        return OptimizerConfig(**values)

    @model_serializer(mode="wrap")
    def _only_what_is_set(self, serialize: SerializerFunctionWrapHandler) -> dict[str, Any]:
        """What is not set is the architecture's to choose, also when a dump is read back."""
        return {k: v for k, v in serialize(self).items() if k in self.model_fields_set}


class ScheduleConfig(StrictModel):
    """The factor on the learning rate as a function of progress."""

    name: Literal["constant", "linear", "cosine"] = "constant"
    warmup_kimg: float = Field(0.0, ge=0, description="Linear rise from 0.")
    decay_start_kimg: float = Field(0.0, ge=0, description="The decay begins here.")
    decay_end_kimg: float | None = Field(None, description="And ends here. Default: total_kimg.")
    final_factor: float = Field(0.0, ge=0, description="Factor at the end of the decay.")

    @model_validator(mode="after")
    def _decays_forwards(self) -> "ScheduleConfig":
        if self.decay_end_kimg is not None and self.decay_end_kimg < self.decay_start_kimg:
            raise ValueError(
                f"decay_end_kimg={self.decay_end_kimg:g} lies before "
                f"decay_start_kimg={self.decay_start_kimg:g}"
            )
        return self


class StandingConfig(StrictModel):
    """How batch statistics are measured before averaged weights generate."""

    batches: int = Field(16, gt=0, description="Batches of fresh latents; BigGAN used about 100.")
    batch_size: int = Field(64, gt=1, description="Images in each.")


class HealthConfig(StrictModel):
    """What the monitor watches and what it does."""

    enabled: bool = True
    window_kimg: float = Field(5.0, gt=0, description="Averages are taken over this much.")
    min_diversity: float = Field(
        0.15, ge=0, description="Warn when sample diversity falls below this part of the data's."
    )
    min_coverage: float = Field(
        0.5,
        ge=0,
        description="Warn when samples are like less than this part of the data, twice in a row, "
        "and were once like more, or do not become so: modes are lost.",
    )
    max_logit_gap: float = Field(50.0, gt=0, description="Warn when D(real) - D(fake) exceeds it.")
    rollback: bool = Field(False, description="Go back one checkpoint on collapse, once per alarm.")
    max_rollbacks: int = Field(2, ge=0, description="More collapses stop the run.")


class TrainConfig(StrictModel):
    """The training run. Progress is counted in thousands of real images shown (kimg)."""

    total_kimg: float = Field(1000.0, gt=0, le=_MAX_KIMG, description="Length of the run.")
    max_minutes: float | None = Field(
        None, gt=0, description="End earlier, after this much training time over all launches."
    )
    batch_size: int = Field(64, gt=0, description="Images per step over all ranks.")
    slots: int | None = Field(
        None,
        gt=0,
        description="Equal micro-batches of a global batch; any rank count that divides it gives "
        "the same run. Default: the number of ranks at first launch.",
    )
    seed: int = Field(0, ge=0, description="Fixes weights, data order and all noise.")
    precision: Literal["auto", "bf16", "fp32", "fp16"] = Field(
        "auto", description="Of forward passes. auto: bf16 where the hardware has it, else fp32."
    )
    compile: bool | Literal["auto"] = Field("auto", description="torch.compile the networks.")
    channels_last: bool = True
    sync_batchnorm: bool = Field(
        False, description="Batch statistics over the slots that run at one time on all ranks."
    )
    optimizer: OptimizerConfig | None = Field(
        None, description="Fields that replace the architecture's own optimizer's."
    )
    optimizers: dict[str, OptimizerConfig] = Field(
        default_factory=dict, description="The same, by role: generator, discriminator, ..."
    )
    schedule: ScheduleConfig = ScheduleConfig()
    grad_clip_norm: float | None = Field(None, gt=0, description="Clip each phase's gradient.")
    ema_halflife_kimg: ScheduledNonNegative = Field(
        10.0, description="0 follows the weights exactly; a number or a schedule."
    )
    ema_rampup: float | None = Field(
        0.05, gt=0, description="Half-life is at most this part of the progress; null for none."
    )
    standing_statistics: StandingConfig | None = Field(
        None,
        description="Measure BatchNorm statistics of the averaged weights before they generate. "
        "Default: averages of the running ones.",
    )
    log_every_kimg: float = Field(1.0, gt=0, le=_MAX_KIMG)
    sample_every_kimg: float = Field(20.0, gt=0, le=_MAX_KIMG)
    sample_grid: tuple[int, int] = Field((8, 8), description="Rows, columns of the sample grid.")
    checkpoint_every_kimg: float = Field(50.0, gt=0, le=_MAX_KIMG)
    keep_checkpoints: int = Field(2, gt=0, description="Older ones are deleted.")
    trackers: tuple[str, ...] = Field(("tensorboard",), description="Accelerate trackers.")
    health: HealthConfig = HealthConfig()

    @field_validator("sample_grid")
    @classmethod
    def _grid_in_range(cls, value: tuple[int, int]) -> tuple[int, int]:
        if not all(1 <= side <= _MAX_GRID_SIDE for side in value):
            raise ValueError(f"rows and columns must be 1 to {_MAX_GRID_SIDE} each")
        return value

    @model_validator(mode="after")
    def _batch_splits_into_slots(self) -> "TrainConfig":
        if self.slots and self.batch_size % self.slots:
            raise ValueError(
                f"batch_size={self.batch_size} cannot be cut into slots={self.slots} equal parts; "
                f"use a multiple of {self.slots}, e.g. "
                f"{max(self.slots, self.batch_size // self.slots * self.slots)}"
            )
        return self


class MetricConfig(ComponentConfig):
    """The choice of a metric: its name, its extractor and, beside them, its own options."""

    extractor: ComponentConfig | None = Field(
        None, description="Feature network of this metric. Default: evaluate.extractor."
    )


class EvaluateConfig(StrictModel):
    """What is measured, against which images, and how."""

    metrics: tuple[MetricConfig, ...] = Field(
        (MetricConfig(name="fid"),),
        description="E.g. [fid, is, {name: kid, extractor: timm}].",
    )
    extractor: ComponentConfig = Field(
        ComponentConfig(name="inception_v3"),
        description="Feature network of the metrics that do not name another.",
    )
    num_images: int = Field(
        50000, gt=1, description="Generated images. Pair metrics measure all pairs."
    )
    num_real: int | None = Field(None, gt=1, description="Real images, or pairs. Default: all.")
    reference: str | None = Field(
        None, description="Shards of the real images. Default: the training shards."
    )
    batch_size: int = Field(64, gt=0, description="Images per forward on each rank.")
    seed: int = Field(0, ge=0, description="Image i is generated from seed + i.")
    truncation: float | None = None
    every_kimg: float | None = Field(
        None, gt=0, le=_MAX_KIMG, description="Also measure during training."
    )
    cache_dir: str | None = Field(None, description="Cache of real features and of weights.")


class PublishConfig(StrictModel):
    """The export folder, and the Hub repository when one is named."""

    repo_id: str | None = Field(None, description="org/name. Without it nothing is uploaded.")
    private: bool = False
    license: str | None = Field(None, description="Licence of the weights, for the model card.")
    dataset: str | None = Field(None, description="What it was trained on, for the model card.")
    tags: tuple[str, ...] = ()


class PipelineConfig(StrictModel):
    """A whole pipeline file."""

    name: str = Field(pattern=r"^[A-Za-z0-9][A-Za-z0-9._-]*$", description="Name of the run.")
    description: str = Field("", description="What this run shows, for people.")
    run_dir: str | None = Field(None, description="Default: runs/<name>.")
    stages: tuple[str, ...] = ("prepare", "train", "evaluate", "publish")
    data: DataConfig = DataConfig()
    model: ModelConfig
    loss: LossConfig = LossConfig()
    augment: ComponentConfig | None = None
    train: TrainConfig = TrainConfig()
    evaluate: EvaluateConfig = EvaluateConfig()
    publish: PublishConfig = PublishConfig()
    _origins: Origins = PrivateAttr(default_factory=Origins)

    @field_validator("stages")
    @classmethod
    def _each_stage_once(cls, value: tuple[str, ...]) -> tuple[str, ...]:
        if len(set(value)) < len(value):
            raise ValueError("should list each stage once")
        return value

    @property
    def origins(self) -> Origins:
        """File and line of each key, for messages; empty when it was not read from a file."""
        return self._origins

    def with_origins(self, origins: Origins) -> "PipelineConfig":
        """The same configuration, knowing where it was written."""
        copy = self.model_copy()
        copy._origins = origins
        return copy
