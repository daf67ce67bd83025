"""Trains a few steps of a pipeline in a temporary folder, to know its speed on this machine."""

import contextlib
import itertools
import logging
import tempfile
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ganforge.config.load import load_pipeline
from ganforge.config.models import PipelineConfig
from ganforge.data.prepare.preparation import Preparation
from ganforge.data.prepare.source_to_shards import build_source
from ganforge.interfaces.source import Sample, Source
from ganforge.interfaces.stage import RunContext
from ganforge.pipeline.session import end_session
from ganforge.pipeline.stages.train import open_run
from ganforge.registry.components import resolve
from ganforge.registry.plugins import get_registry
from ganforge.training.engine.loop import Task, train
from ganforge.training.engine.meter import Meter
from ganforge.training.fields import make_loader
from ganforge.training.state.run_state import TrainingRun

_SAMPLES = 256
"""Samples of each stream on which the speed is measured."""
_WARMUP_STEPS = 3
_SECONDS = 8.0
_MAX_SECONDS = 45.0


@dataclass(frozen=True)
class Speed:
    """What was measured: images a second, and over how many seconds and images."""

    img_per_sec: float
    seconds: float
    nimg: int


class _SomeSamples(Source[Any]):
    """The first samples of a source, taken evenly over it where its size is known."""

    name = "some_samples"

    def __init__(self, source: Source[Any], count: int) -> None:
        super().__init__(source.config)
        self._source, self._count = source, count
        total = source.num_samples() or 0
        self._step = max(1, total // len(source.streams()) // count)
        self.class_names = source.class_names  # type: ignore[method-assign]
        self.attribute_names = source.attribute_names  # type: ignore[method-assign]
        self.streams = source.streams  # type: ignore[method-assign]

    def samples(self, stream: str = "main") -> Iterator[Sample]:
        """At most `count` of the stream."""
        stop = self._count * self._step
        return itertools.islice(self._source.samples(stream), 0, stop, self._step)


class _Measured(Exception):  # noqa: N818  # a signal to the loop, not a fault
    """Raised when the measurement is over."""


class _Stopwatch(Task):
    """A task of the training loop that times whole rounds of all phases, lazy ones included."""

    def __init__(self, meter: Meter, period: int) -> None:
        self._meter, self._period = meter, period
        self._steps = 0
        self._start = time.perf_counter()
        self.speed: Speed | None = None

    def due(self, run: TrainingRun) -> bool:
        """After each step."""
        return True

    def run(self, run: TrainingRun) -> None:
        """Start after the first steps; stop after some seconds and whole rounds.

        Raises:
            _Measured: enough was seen.
        """
        self._steps += 1
        if self._steps == _WARMUP_STEPS:
            self._meter.flush()  # waits for the device
            self._start = time.perf_counter()
        steps = self._steps - _WARMUP_STEPS
        seconds = time.perf_counter() - self._start
        if steps <= 0 or seconds < _SECONDS or (steps % self._period and seconds < _MAX_SECONDS):
            return
        rate = self._meter.flush()["img_per_sec"]
        self.speed = Speed(rate, seconds, steps * run.config.train.batch_size)
        raise _Measured


def measure(pipeline: Path) -> Speed:
    """Train some seconds on some of the data of a pipeline file; keeps nothing.

    Raises:
        GanforgeError: the data or the recipe do not work: what `ganforge run` would say.
    """
    registry = get_registry()
    with tempfile.TemporaryDirectory(prefix="ganforge-new-") as folder, _quiet():
        shards = Path(folder) / "shards"
        config = load_pipeline(str(pipeline), (), registry.options_model)
        _prepare(config, shards)
        overrides = (f"data.shards={shards}", "data.source=null", "train.trackers=[]",
                     "data.text_encoder=null", "data.validation=null", "train.compile=false",
                     f"run_dir={folder}/run")  # fmt: skip
        measured = load_pipeline(str(pipeline), overrides, registry.options_model)
        return _train(RunContext(measured, Path(folder) / "run", resolve(measured)), str(shards))


def _prepare(config: PipelineConfig, shards: Path) -> None:
    shards.mkdir()
    data = config.data.model_copy(update={"validation": None})
    source = _SomeSamples(build_source(data), _SAMPLES)
    Preparation(source, data, shards, workers=0, seed=0).write(progress=False)


def _train(context: RunContext, shards: str) -> Speed:
    try:
        run, fields = open_run(context, shards)
        meter = Meter(run.runtime)
        lazy = (choice.options.get("every", 1) for choice in context.config.loss.regularizers)
        stopwatch = _Stopwatch(meter, max(lazy, default=1))
        with contextlib.suppress(_Measured):
            train(run, lambda each: make_loader(each, shards, fields), meter, [stopwatch])
    finally:
        end_session(context)
    assert stopwatch.speed is not None  # a run is longer than a measurement
    return stopwatch.speed


@contextlib.contextmanager
def _quiet() -> Iterator[None]:
    """Hide what a run logs at its start, but not its warnings."""
    logger = logging.getLogger("ganforge")
    level = logger.level
    logger.setLevel(logging.WARNING)
    try:
        yield
    finally:
        logger.setLevel(level)
