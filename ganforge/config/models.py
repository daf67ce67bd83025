"""The typed pipeline file: every section, field, unit and default, and the rules between them.

`ganforge.config.load` reads files and overrides. This module imports nothing heavy, so that
command-line help stays fast.
"""

from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import (
    Field,
    NonNegativeFloat,
    PrivateAttr,
    SerializerFunctionWrapHandler,
    field_validator,
    model_serializer,
    model_validator,
)

from ganforge.config.base import MAX_KIMG, Kimg
from ganforge.config.base import StrictModel as StrictModel
from ganforge.config.choices import Chooses, ComponentChoice, ComponentSection, Place, places
from ganforge.config.data import DataConfig as DataConfig
from ganforge.config.init import InitConfig
from ganforge.config.schedules import (
    Schedule,
    ScheduleConfig,
    Scheduled,
    ScheduledNonNegative,
)
from ganforge.config.source_locations import SourceLocations

_STAGES = ("prepare", "train", "evaluate", "publish")
_MAX_GRID_SIDE = 256


class ModelConfig(ComponentSection):
    """The architecture, with its options beside it."""

    name_key = "architecture"

    architecture: str = Field(
        description="Registered name; `ganforge plugins list` shows all names."
    )


class LossConfig(ComponentSection):
    """The adversarial loss, with its options beside it, and the regularizers."""

    name: str = Field("nonsaturating", description="Adversarial loss.")
    regularizers: Annotated[tuple[ComponentChoice, ...], Chooses("regularizer")] = Field(
        (), description="E.g. {name: r1, gamma: 1}."
    )
    n_critic: int = Field(1, gt=0, description="Discriminator steps per generator step.")
    terms: Annotated[tuple[ComponentChoice, ...], Chooses("objective term")] = Field(
        (), description="Objective terms, e.g. {name: mismatched_pairs, weight: 1}."
    )


class OptimizerConfig(StrictModel):
    """One optimizer. It ignores the fields that do not apply to it."""

    name: Literal["adam", "adamw", "rmsprop", "sgd"] = "adam"
    lr: float = Field(2e-4, gt=0, description="Learning rate.")
    betas: tuple[Scheduled, Scheduled] = Field(
        (0.5, 0.999), description="Adam's decay rates; each is a number or a schedule."
    )
    eps: float = Field(1e-8, gt=0, description="Epsilon of Adam and RMSprop.")
    momentum: float = Field(0.0, ge=0, description="Momentum of SGD and RMSprop.")
    alpha: float = Field(0.99, description="RMSprop's smoothing constant.")
    weight_decay: float = Field(
        0.0, ge=0, description="L2 penalty for adam and sgd, decoupled for adamw."
    )

    @field_validator("betas")
    @classmethod
    def _betas_in_range(cls, value: tuple[Scheduled, Scheduled]) -> tuple[Scheduled, Scheduled]:
        ends = [(b.start, b.to) if isinstance(b, Schedule) else (b,) for b in value]
        if not all(0 <= beta < 1 for pair in ends for beta in pair):
            shown = [pair[0] if len(pair) == 1 else list(pair) for pair in ends]
            raise ValueError(f"betas must be in [0, 1), got {shown}")
        return value

    def override(self, *others: "OptimizerConfig | None") -> "OptimizerConfig":
        """This optimizer with the fields that each of `others` sets explicitly."""
        values = dict(self)
        for other in filter(None, others):
            values |= {name: getattr(other, name) for name in other.model_fields_set}
        return OptimizerConfig(**values)

    @model_serializer(mode="wrap")
    def _only_what_is_set(self, serialize: SerializerFunctionWrapHandler) -> dict[str, Any]:
        """Leave out what is not set: the architecture chooses it, also when a dump is loaded."""
        return {k: v for k, v in serialize(self).items() if k in self.model_fields_set}


class StandingStatisticsConfig(StrictModel):
    """How BatchNorm statistics of the averaged weights are measured before they generate."""

    batches: int = Field(16, gt=0, description="Batches of fresh latents; BigGAN used about 100.")
    batch_size: int = Field(64, gt=1, description="Images per batch.")


class HealthConfig(StrictModel):
    """What the health monitor warns of, and how it reacts."""

    enabled: bool = Field(True, description="Watch the run.")
    window_kimg: float = Field(
        1.0, gt=0, description="Log records are averaged over this many kimg."
    )
    min_diversity: NonNegativeFloat = Field(
        0.15, description="Warn when sample diversity falls below this fraction of the data's."
    )
    min_coverage: NonNegativeFloat = Field(
        0.5,
        description="Warn when mode coverage stays below this for two checks, after exceeding it "
        "or without improving.",
    )
    min_discriminator_loss: NonNegativeFloat = Field(
        0.1,
        description="Warn when the discriminator's loss falls below this fraction of its value at "
        "equilibrium, where it cannot tell real from generated images.",
    )
    rollback: bool = Field(False, description="After a collapse, go back to the newest checkpoint.")
    max_rollbacks: int = Field(
        2, ge=0, description="Stop the run at the next collapse after this many rollbacks."
    )


class TrainConfig(StrictModel):
    """The training run. Progress is counted in thousands of real images shown (kimg)."""

    total_kimg: Kimg = Field(1000.0, description="Length of the run.")
    max_minutes: float | None = Field(
        None, gt=0, description="Limit on the training time, summed over all launches."
    )
    batch_size: int = Field(64, gt=0, description="Images per step over all ranks.")
    slots: int | None = Field(
        None,
        gt=0,
        description="Equal micro-batches of a global batch. Any number of ranks that divides it "
        "trains the same model. Default: the number of ranks at the first launch.",
    )
    seed: int = Field(0, ge=0, description="Determines weights, data order and noise.")
    precision: Literal["auto", "bf16", "fp32", "fp16"] = Field(
        "auto",
        description="Precision of forward passes. auto: bf16 where the hardware has it, else fp32.",
    )
    tf32: bool = Field(
        False,
        description="On NVIDIA GPUs, train in TF32 where the precision is float32: faster, 10 bits "
        "of mantissa. Evaluation and publishing never use it.",
    )
    cudnn_benchmark: bool = Field(
        True, description="On NVIDIA GPUs, train with the fastest of cuDNN's algorithms, by timing."
    )
    compile: bool | Literal["auto"] = Field("auto", description="torch.compile the networks.")
    cpu_optimizations: Literal["auto", "off"] = Field(
        "auto",
        description="On a CPU, replace some torch functions by faster kernels, equal up to "
        "rounding, and keep freed memory in the process.",
    )
    cpu_threads: Annotated[int, Field(ge=1)] | Literal["auto"] = Field(
        "auto",
        description="Threads that compute in each process of a run, in all its stages. auto: the "
        "process's share of the cores. GANFORGE_NUM_THREADS overrides it.",
    )
    channels_last: bool | Literal["auto"] = Field(
        "auto",
        description="Memory format of images and 2-D convolutions. auto: channels_last, except for "
        "networks with grouped convolutions on a GPU.",
    )
    sync_batchnorm: bool = Field(
        False, description="Batch statistics over the slots that all ranks run at the same time."
    )
    optimizer: OptimizerConfig | None = Field(
        None, description="Fields that override those of the architecture's optimizer."
    )
    optimizers: dict[str, OptimizerConfig] = Field(
        default_factory=dict, description="Overrides by role: generator, discriminator, ..."
    )
    schedule: ScheduleConfig = ScheduleConfig()
    grad_clip_norm: float | None = Field(
        None, gt=0, description="Largest norm of the gradient of each phase."
    )
    ema_halflife_kimg: ScheduledNonNegative = Field(
        10.0,
        description="Half-life of the averaged weights: a number or a schedule. 0 copies the "
        "weights.",
    )
    ema_rampup: float | None = Field(
        0.05,
        gt=0,
        description="Limit the half-life to this fraction of the progress; null for no limit.",
    )
    standing_statistics: StandingStatisticsConfig | None = Field(
        None,
        description="Measure BatchNorm statistics of the averaged weights before they generate. "
        "Default: averages of the running statistics.",
    )
    log_every_kimg: Kimg = Field(1.0, description="Log every N kimg.")
    sample_every_kimg: Kimg = Field(20.0, description="Save a sample picture every N kimg.")
    sample_grid: tuple[int, int] = Field(
        (8, 8),
        description="Rows, columns of images in the sample grid; a translation takes two or three "
        "of the columns.",
    )
    checkpoint_every_kimg: Kimg = Field(50.0, description="Save a checkpoint every N kimg.")
    keep_checkpoints: int = Field(2, gt=0, description="Delete all but the newest N checkpoints.")
    trackers: tuple[str, ...] = Field(("tensorboard",), description="Accelerate trackers.")
    health: HealthConfig = HealthConfig()

    @field_validator("cpu_optimizations", mode="before")
    @classmethod
    def _off_is_not_false(cls, value: Any) -> Any:
        """YAML 1.1 reads a bare `off` as false."""
        return "off" if value is False else value

    @field_validator("sample_grid")
    @classmethod
    def _grid_in_range(cls, value: tuple[int, int]) -> tuple[int, int]:
        if not all(1 <= side <= _MAX_GRID_SIDE for side in value):
            raise ValueError(f"rows and columns must be 1 to {_MAX_GRID_SIDE} each")
        return value

    @model_validator(mode="after")
    def _batch_splits_into_slots(self) -> "TrainConfig":
        size, slots = self.batch_size, self.slots
        if slots and size % slots:
            raise ValueError(
                f"batch_size={size} cannot be cut into slots={slots} equal parts; use a multiple "
                f"of {slots}, e.g. {max(slots, size // slots * slots)}"
            )
        return self


class MetricChoice(ComponentChoice):
    """The choice of a metric: its name, its extractor and, beside them, its options."""

    extractor: Annotated[ComponentChoice | None, Chooses("feature extractor")] = Field(
        None, description="Feature network of this metric. Default: evaluate.extractor."
    )


class EvaluateConfig(StrictModel):
    """What is measured, against which images, and how."""

    metrics: Annotated[tuple[MetricChoice, ...], Chooses("metric")] = Field(
        (MetricChoice(name="fid"),), description="E.g. [fid, is, {name: kid, extractor: timm}]."
    )
    extractor: Annotated[ComponentChoice, Chooses("feature extractor")] = Field(
        ComponentChoice(name="inception_v3"),
        description="Feature network of the metrics that do not name another.",
    )
    num_images: int = Field(
        50000,
        gt=1,
        description="Generated images, or clips of video. Translators translate each source of "
        "the reference at most once; pair metrics measure all pairs.",
    )
    num_real: int | None = Field(None, gt=1, description="Real images, or pairs. Default: all.")
    reference: str | None = Field(
        None,
        description="Shards of the real images. Default: the training shards; for translators "
        "`data.validation` where it is set.",
    )
    batch_size: int = Field(64, gt=0, description="Images per forward on each rank.")
    seed: int = Field(0, ge=0, description="Image i is generated from seed + i.")
    truncation: float | None = Field(None, description="Truncation psi or threshold.")
    every_kimg: float | None = Field(
        None, gt=0, le=MAX_KIMG, description="Also measure during training."
    )
    cache_dir: str | None = Field(None, description="Cache of real features and of weights.")


class PublishConfig(StrictModel):
    """The export folder, and the Hub repository if one is named."""

    repo_id: str | None = Field(
        None, description="Repository to upload to, as org/name. Default: no upload."
    )
    private: bool = Field(False, description="Create the repository as private.")
    license: str | None = Field(None, description="License of the weights, for the model card.")
    dataset: str | None = Field(None, description="Training data, for the model card.")
    tags: tuple[str, ...] = Field((), description="Tags of the model card.")
    discriminator: bool = Field(
        False,
        description="Also export the discriminator, and all other networks that do not generate, "
        "so that others can train on from this model with `init`.",
    )


class PipelineConfig(StrictModel):
    """A whole pipeline file."""

    name: str = Field(pattern=r"^[A-Za-z0-9][A-Za-z0-9._-]*$", description="Name of the run.")
    description: str = Field("", description="What this run is for.")
    run_dir: str | None = Field(None, description="Folder of the run. Default: runs/<name>.")
    stages: Annotated[tuple[str, ...], Chooses("stage")] = _STAGES
    data: DataConfig = DataConfig()
    model: Annotated[ModelConfig, Chooses("architecture")]
    loss: Annotated[LossConfig, Chooses("loss")] = LossConfig()
    augment: Annotated[ComponentChoice | None, Chooses("augmentation")] = None
    init: InitConfig = InitConfig()
    train: TrainConfig = TrainConfig()
    evaluate: EvaluateConfig = EvaluateConfig()
    publish: PublishConfig = PublishConfig()
    _locations: SourceLocations = PrivateAttr(default_factory=SourceLocations)

    @field_validator("stages")
    @classmethod
    def _each_stage_once(cls, value: tuple[str, ...]) -> tuple[str, ...]:
        if len(set(value)) < len(value):
            raise ValueError("should list each stage once")
        return value

    @property
    def run_folder(self) -> Path:
        """`run_dir`, or its default."""
        return Path(self.run_dir or Path("runs") / self.name)

    @property
    def source_locations(self) -> SourceLocations:
        """File and line of each key, for messages; empty when it was not read from a file."""
        return self._locations

    def with_source_locations(self, locations: SourceLocations) -> "PipelineConfig":
        """The same configuration, with the places where it was written."""
        copy = self.model_copy()
        copy._locations = locations
        return copy


PLACES: tuple[Place, ...] = tuple(places(PipelineConfig))
"""Every place in the pipeline file that chooses components."""
