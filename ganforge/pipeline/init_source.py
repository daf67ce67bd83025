"""Finds what `init.from` names: a run, a checkpoint, an export folder, or a model on the Hub."""

from pathlib import Path

from ganforge.config.init import InitConfig
from ganforge.errors import CheckpointError, ConfigError, PublishError
from ganforge.hub.networks import fetch_networks
from ganforge.hub.pull import Location
from ganforge.training.state import checkpoint as checkpoints
from ganforge.training.state.warm_start import TrainedNetworks, read_checkpoint


def read_source(init: InitConfig) -> TrainedNetworks:
    """Read the networks to start from; weights are checked by hash, and no code is run.

    A folder takes precedence over a repository of the same name, and the newest checkpoint of a
    run over its export.

    Raises:
        ConfigError: `init.from` names nothing that can be read.
    """
    assert init.source is not None
    try:
        folder = _checkpoint(Path(init.source))
        if folder is None:
            return fetch_networks(Location(init.source, init.revision))
        if init.revision is not None:
            raise CheckpointError(
                f"init.revision is '{init.revision}', but a checkpoint on disk has no revisions. "
                f"Remove it."
            )
        return read_checkpoint(folder)
    except (CheckpointError, PublishError) as err:
        raise ConfigError(f"init.from is '{init.source}': {err}") from err


def _checkpoint(folder: Path) -> Path | None:
    """The checkpoint itself, or the newest one of a run; None for anything else."""
    if (folder / checkpoints.MANIFEST).is_file():
        return folder
    return checkpoints.latest(folder / "checkpoints")
