"""What the stages of one pipeline share: the runtime, and where things lie in a run directory."""

import functools
from pathlib import Path

from ganforge.interfaces.stage import RunContext
from ganforge.training.cpu.heap import keep_heap
from ganforge.training.precision import PrecisionChoice
from ganforge.training.runtime import Runtime


def shards_location(context: RunContext) -> str:
    """Where the training shards are, or will be written by `prepare`."""
    return context.config.data.shards or str(context.run_dir / "shards")


def checkpoints_dir(context: RunContext) -> Path:
    """Where checkpoints are kept."""
    return context.run_dir / "checkpoints"


def runtime_of(context: RunContext) -> Runtime:
    """The runtime of this process for this run; made once."""
    train = context.config.train
    return _runtime(train.precision, train.trackers, context.run_dir)


@functools.lru_cache(maxsize=1)
def _runtime(precision: PrecisionChoice, trackers: tuple[str, ...], run_dir: Path) -> Runtime:
    runtime = Runtime(precision, trackers, run_dir)
    if runtime.device.type == "cpu":
        keep_heap()
    return runtime


def end_session(context: RunContext) -> None:
    """Close the trackers and leave the process group: after the last stage, for all need it."""
    runtime_of(context).close()
    _runtime.cache_clear()
