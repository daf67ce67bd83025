"""Trains a few steps of a pipeline in a temporary folder, to know its speed on this machine.

On a CPU, several numbers of threads take turns. All cores are not always the fastest: threads wait
for each other many times in a step, and when another program takes a core they wait for it.
"""

import contextlib
import itertools
import logging
import os
import tempfile
import time
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import torch

from ganforge.config.load import load_pipeline
from ganforge.config.models import PipelineConfig
from ganforge.data.prepare.preparation import Preparation
from ganforge.data.prepare.source_to_shards import build_source
from ganforge.interfaces.source import Sample, Source
from ganforge.interfaces.stage import RunContext
from ganforge.io.cores import own_cores
from ganforge.pipeline.session import end_session
from ganforge.pipeline.stages.train import open_run
from ganforge.registry.components import resolve
from ganforge.registry.plugins import get_registry
from ganforge.starters.machine import Speed
from ganforge.training.engine.loop import Task, train
from ganforge.training.engine.meter import Meter
from ganforge.training.fields import make_loader
from ganforge.training.state.run_state import TrainingRun

_SAMPLES = 256
"""Samples of each stream on which the speed is measured."""
_WARMUP_STEPS = 3
_SECONDS = 8.0
_MAX_SECONDS = 45.0
_TURNS = 2
"""Of each number of threads."""
_MOST_COUNTS = 4
_AS_FAST = 0.95
"""Share of the highest speed with which fewer threads are chosen: others slow them down less."""


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
    """A task of the training loop that times whole rounds of all phases, lazy ones included.

    Args:
        meter: of the run; reading it waits for the device.
        period: steps of a round.
        counts: numbers of threads that take turns; the first is that of the run.
    """

    def __init__(self, meter: Meter, period: int, counts: Sequence[int]) -> None:
        self._meter, self._period = meter, period
        self._turns = list(counts) * (_TURNS if len(counts) > 1 else 1)
        self._turn, self._steps, self._start = -1, 0, 0.0
        self._least, self._most = (limit / len(self._turns) for limit in (_SECONDS, _MAX_SECONDS))
        self.nimg = dict.fromkeys(counts, 0)
        self.seconds = dict.fromkeys(counts, 0.0)

    def due(self, run: TrainingRun) -> bool:
        """After each step."""
        return True

    def run(self, run: TrainingRun) -> None:
        """Start after the first steps, and go on to the next turn after some whole rounds.

        Raises:
            _Measured: enough was seen.
        """
        self._steps += 1
        if self._turn < 0:
            if self._steps == _WARMUP_STEPS:
                self._next_turn()
            return
        seconds, rest = time.perf_counter() - self._start, self._steps % self._period
        if seconds < self._least or (rest and seconds < _MAX_SECONDS):
            return
        self._meter.flush()
        count = self._turns[self._turn]
        self.seconds[count] += time.perf_counter() - self._start
        self.nimg[count] += self._steps * run.config.train.batch_size
        if rest or seconds > self._most:  # too slow for a further turn
            raise _Measured
        self._next_turn()

    def _next_turn(self) -> None:
        self._turn += 1
        if self._turn == len(self._turns):
            raise _Measured
        torch.set_num_threads(self._turns[self._turn])
        self._meter.flush()
        self._steps, self._start = 0, time.perf_counter()

    def speed(self) -> Speed:
        """The speed with the smallest number of threads that is about as fast as any."""
        rates = {count: nimg / self.seconds[count] for count, nimg in self.nimg.items() if nimg}
        first = next(iter(rates))
        fast = [count for count, rate in rates.items() if rate >= _AS_FAST * max(rates.values())]
        count = min(fast)
        threads = None if count == first else count
        return Speed(rates[count], sum(self.seconds.values()), threads, rates[count] / rates[first])


def _thread_counts(is_cpu: bool) -> list[int]:
    """All cores, half of them and so on, and one; just one number where there is no choice."""
    cores = own_cores()
    if not is_cpu or os.environ.get("GANFORGE_NUM_THREADS"):
        return [cores]
    halves = list(itertools.takewhile(lambda count: count > 1, (cores >> k for k in range(16))))
    return [*halves[: _MOST_COUNTS - 1], 1]


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
        counts = _thread_counts(run.runtime.device.type == "cpu")
        stopwatch = _Stopwatch(meter, max(lazy, default=1), counts)
        with _restored_threads(), contextlib.suppress(_Measured):
            train(run, lambda each: make_loader(each, shards, fields), meter, [stopwatch])
    finally:
        end_session(context)
    return stopwatch.speed()


@contextlib.contextmanager
def _restored_threads() -> Iterator[None]:
    before = torch.get_num_threads()
    try:
        yield
    finally:
        torch.set_num_threads(before)


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
