"""Checkpoints: one directory each, written atomically, without pickle.

In `checkpoints/nimg-000012800/`:

- `networks.safetensors`: every network, keys role.parameter
- `ema.safetensors`: the averaged networks
- `optimizers.safetensors`: optimizer state, keys group/parameter/name
- `modules.safetensors`: state of regularizers and augmentation
- `slots.safetensors`: per-slot state, keys slot/name
- `state.json`: counters, slots, versions; `config.yaml`: the resolved pipeline file
- `manifest.json`: the sha256 of each of the above
"""

import copy
import errno
import json
import logging
import shutil
from collections.abc import Collection
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import safetensors
import safetensors.torch
from torch import Tensor

from ganforge.errors import CheckpointError
from ganforge.io.atomic import atomic_folder
from ganforge.io.hashing import file_sha256
from ganforge.training.state.tensors import host_copies, storable

log = logging.getLogger(__name__)
MANIFEST = "manifest.json"
_FORMAT = 1


@dataclass
class Checkpoint:
    """The whole state of a run in memory, as plain tensors and JSON values."""

    tensors: dict[str, dict[str, Tensor]] = field(default_factory=dict)
    """By file: networks, ema, optimizers, modules, slots."""
    state: dict[str, Any] = field(default_factory=dict)
    config: str = ""
    """The resolved pipeline file, as YAML."""

    def on_host(self) -> "Checkpoint":
        """A copy on the host, which later changes of the run do not reach."""
        tensors = {name: host_copies(part) for name, part in self.tensors.items()}
        return Checkpoint(tensors, copy.deepcopy(self.state), self.config)


def directory_name(nimg: int) -> str:
    """The name of the checkpoint after `nimg` images; sorts by progress."""
    return f"nimg-{nimg:09d}"


def save(folder: Path, checkpoint: Checkpoint) -> None:
    """Write a checkpoint atomically.

    Raises:
        CheckpointError: the disk is full or not writable; nothing half-written remains.
    """
    try:
        with atomic_folder(folder, replace=True) as partial:
            _write_files(partial, checkpoint)
    except (OSError, safetensors.SafetensorError) as err:
        full = isinstance(err, OSError) and err.errno == errno.ENOSPC
        cause = "the disk is full" if full else str(err)
        raise CheckpointError(
            f"Cannot save the checkpoint {folder}: {cause}. Earlier checkpoints are intact. Make "
            f"room or change run_dir, then run the same command to resume."
        ) from err


def _write_files(folder: Path, checkpoint: Checkpoint) -> None:
    for name, tensors in checkpoint.tensors.items():
        safetensors.torch.save_file(storable(tensors), folder / f"{name}.safetensors")
    state = {"format": _FORMAT, **checkpoint.state}
    (folder / "state.json").write_text(json.dumps(state, indent=1, sort_keys=True) + "\n")
    (folder / "config.yaml").write_text(checkpoint.config)
    manifest = {path.name: file_sha256(path) for path in sorted(folder.iterdir())}
    (folder / MANIFEST).write_text(json.dumps(manifest, indent=1) + "\n")


def verify(folder: Path) -> None:
    """Check every file of a checkpoint against its manifest.

    Raises:
        CheckpointError: a file is missing, changed or unreadable; names it.
    """
    try:
        manifest = json.loads((folder / MANIFEST).read_text())
        for name, sha256 in manifest.items():
            if file_sha256(folder / name) != sha256:
                raise CheckpointError(
                    f"Checkpoint {folder} is damaged: {name} does not match its manifest. Restore "
                    f"it from a backup, or delete it."
                )
    except (OSError, ValueError, AttributeError, RecursionError) as err:
        raise CheckpointError(
            f"Checkpoint {folder} is damaged or incomplete: {type(err).__name__}: {err}. Restore "
            f"it from a backup, or delete it."
        ) from err


def load(
    folder: Path, *, files: Collection[str] | None = None, is_verified: bool = False
) -> Checkpoint:
    """Read and verify a checkpoint: its counters, configuration and tensors.

    `files` are the kinds of tensors to read, such as "networks"; by default all. What another rank
    has verified (`is_verified`), `latest` for example, is read without.

    Raises:
        CheckpointError: it is damaged, or of a newer format.
    """
    if not is_verified:
        verify(folder)
    state = json.loads((folder / "state.json").read_text())
    if state.get("format") != _FORMAT:
        raise CheckpointError(
            f"Checkpoint {folder} has format {state.get('format')}; this ganforge reads format "
            f"{_FORMAT}. Use the ganforge that wrote it ({state.get('ganforge', 'unknown')})."
        )
    tensors = {
        path.stem: safetensors.torch.load_file(path)
        for path in sorted(folder.glob("*.safetensors"))
        if files is None or path.stem in files
    }
    return Checkpoint(tensors, state, (folder / "config.yaml").read_text())


def all_checkpoints(folder: Path) -> list[Path]:
    """The checkpoint directories in `folder`, oldest first, not verified."""
    return sorted(path for path in folder.glob("nimg-*") if path.is_dir())


def latest(folder: Path) -> Path | None:
    """The newest undamaged checkpoint in `folder`, or None; damaged ones are named in the log.

    Raises:
        CheckpointError: all checkpoints are damaged.
    """
    found = all_checkpoints(folder)
    for path in reversed(found):
        try:
            verify(path)
        except CheckpointError as err:
            log.warning("%s The one before it is used.", err)
        else:
            return path
    if found:
        raise CheckpointError(
            f"All {len(found)} checkpoints in {folder} are damaged; the newest is {found[-1]}. "
            f"Restore one from a backup, or delete {folder} to start again."
        )
    return None


def prune(folder: Path, keep: int) -> None:
    """Delete all but the newest `keep` checkpoints, and the leftovers of killed saves."""
    for path in all_checkpoints(folder)[:-keep]:
        shutil.rmtree(path, ignore_errors=True)
    for path in folder.glob(".nimg-*.partial*"):
        shutil.rmtree(path, ignore_errors=True)
