"""What the stages of one pipeline share: the runtime, and the places in a run directory."""

import contextlib
import functools
import logging
from collections.abc import Iterator
from pathlib import Path
from typing import Literal

from ganforge.errors import DataError
from ganforge.interfaces.stage import RunContext
from ganforge.training.cpu.heap import keep_heap
from ganforge.training.fields import read_once
from ganforge.training.precision import PrecisionChoice
from ganforge.training.runtime import Runtime

log = logging.getLogger(__name__)


def shards_location(context: RunContext) -> str:
    """Where the training shards are, or will be written by `prepare`."""
    return context.config.data.shards or str(context.run_dir / "shards")


def validation_location(context: RunContext) -> str | None:
    """Where the validation shards are, or will be written by `prepare`; None without any."""
    validation = context.config.data.validation
    if validation is None:
        return None
    return validation.shards or str(context.run_dir / "validation")


def reference_location(context: RunContext) -> str:
    """The shards of the real images: by default, the validation data of a translator.

    Numbers of generators from noise are compared with the training data, as is usual.
    """
    config = context.config
    translates = bool(context.components.architecture.component.directions)
    held_out = validation_location(context) if translates else None
    return config.evaluate.reference or held_out or shards_location(context)


@contextlib.contextmanager
def indexes_read_once(context: RunContext) -> Iterator[None]:
    """Until its end, all ranks use the indexes that rank 0 has read, of the data that are there.

    Data that are missing or damaged are left to whoever needs them.
    """
    places = (shards_location(context), validation_location(context), reference_location(context))
    with contextlib.ExitStack() as stack:
        for place in dict.fromkeys(filter(None, places)):
            with contextlib.suppress(DataError):
                stack.enter_context(read_once(runtime_of(context), place))
        yield


def checkpoints_dir(context: RunContext) -> Path:
    """Where checkpoints are kept."""
    return context.run_dir / "checkpoints"


def runtime_of(context: RunContext) -> Runtime:
    """The runtime of this process for this run; made once."""
    train = context.config.train
    optimize_cpu = train.cpu_optimizations == "auto"
    return _runtime(
        train.precision, train.trackers, context.run_dir, optimize_cpu, train.cpu_threads
    )


@functools.lru_cache(maxsize=1)
def _runtime(
    precision: PrecisionChoice,
    trackers: tuple[str, ...],
    run_dir: Path,
    optimize_cpu: bool,
    cpu_threads: int | Literal["auto"],
) -> Runtime:
    runtime = Runtime(
        precision, trackers, run_dir, cpu_kernels=optimize_cpu, cpu_threads=cpu_threads
    )
    if runtime.device.type == "cpu":
        log.info("CPU optimizations: %s.", _optimize_cpu(runtime) if optimize_cpu else "off")
    return runtime


def _optimize_cpu(runtime: Runtime) -> str:
    """Set up the heap; describes all that is on."""
    parts = [] if runtime.cpu_kernels is None else [runtime.cpu_kernels.description]
    if keep_heap():
        parts.append("freed memory is kept, in huge pages")
    return f"{'; '.join(parts)} (train.cpu_optimizations: off disables them)"


def end_session(context: RunContext) -> None:
    """Close the trackers and leave the process group, after the last stage.

    No rank leaves before rank 0 is ready to: a launcher may end the others soon after the first.
    """
    runtime_of(context).on_main(lambda: None)
    runtime_of(context).close()
    _runtime.cache_clear()
