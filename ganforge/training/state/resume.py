"""Checks whether a run may resume from a checkpoint: pipeline file, images and precision."""

import logging
from pathlib import Path

import yaml

from ganforge.config.dump import config_diff
from ganforge.config.models import PipelineConfig
from ganforge.errors import CheckpointError
from ganforge.training.precision import Precision, PrecisionChoice
from ganforge.training.state.checkpoint import Checkpoint

log = logging.getLogger(__name__)

# These keys may change between launches: they do not shape the run beyond rounding.
# `check_same_precision` watches over train.precision.
_HARMLESS = """
    name description run_dir stages evaluate publish
    data.source data.shards data.workers data.cache_dir data.cache_bytes data.samples_per_shard
    data.on_bad_sample data.max_bad_samples
    train.slots train.max_minutes train.standing_statistics train.log_every_kimg
    train.sample_every_kimg train.sample_grid train.checkpoint_every_kimg train.keep_checkpoints
    train.trackers train.health train.compile train.cpu_optimizations train.cpu_threads
    train.precision
""".split()


def check_resumable(checkpoint: Checkpoint, config: PipelineConfig, where: Path) -> None:
    """Refuse to resume when a setting that shapes the run has changed, and show the change.

    Raises:
        CheckpointError: a setting has changed.
    """
    before = PipelineConfig.model_validate(yaml.safe_load(checkpoint.config))
    changes = [line for line in config_diff(before, config) if not _is_harmless(line, config)]
    if changes:
        listed = "\n  ".join(changes)
        raise CheckpointError(
            f"The pipeline file has changed since checkpoint {where}:\n  {listed}\n"
            f"Resuming would mix two runs. Undo the change, or give the changed run another name "
            f"or run_dir."
        )
    slots = config.train.slots
    if slots not in (None, checkpoint.state["num_slots"]):
        raise CheckpointError(
            f"train.slots is {slots}, but checkpoint {where} has "
            f"{checkpoint.state['num_slots']} slots, which are fixed for the life of a run. "
            f"Restore train.slots, or give this run another name or run_dir."
        )


def check_same_data(checkpoint: Checkpoint, digest: str, where: Path) -> None:
    """Refuse to resume with other images.

    Raises:
        CheckpointError: the content of the shards has changed.
    """
    before = checkpoint.state["data_digest"]
    if before != digest:
        raise CheckpointError(
            f"The training shards have changed since checkpoint {where}: their content was "
            f"{before[:12]} and is {digest[:12]}. Restore them, or give this run another name or "
            f"run_dir."
        )


def check_same_precision(
    checkpoint: Checkpoint, wanted: PrecisionChoice, here: Precision, where: Path
) -> None:
    """Refuse to change the precision of a run unless the pipeline file names the new one.

    `here` is the precision that `wanted`, train.precision, means on this hardware.

    Raises:
        CheckpointError: `auto` means another precision here than in the checkpoint.
    """
    before = checkpoint.state["precision"]
    if before == here:
        return
    if wanted == "auto":
        raise CheckpointError(
            f"Checkpoint {where} was trained in {before}, and train.precision=auto is {here} on "
            f"this hardware. Resume with train.precision={here} to change over, or with "
            f"train.precision={before} to continue as before, which may be slow here."
        )
    log.warning("Checkpoint %s was trained in %s; the run continues in %s.", where, before, here)


def _is_harmless(line: str, config: PipelineConfig) -> bool:
    path = line.split(":", 1)[0]
    if path == "train.total_kimg":
        # Training longer is common. It changes the past only if the schedule ends at total_kimg.
        schedule = config.train.schedule
        return schedule.name in ("constant", "step") or schedule.decay_end_kimg is not None
    return any(path == known or path.startswith(f"{known}.") for known in _HARMLESS)
