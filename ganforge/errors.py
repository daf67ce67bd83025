"""The one exception tree: every fault a user can cause or fix is a `GanforgeError`.

A message says what is wrong (with the value), where, and what to do. It is passed as one
positional string so that its type survives the trip out of a DataLoader worker process.
"""

import difflib
import errno
import os
from collections.abc import Iterable
from typing import ClassVar

from ganforge.redaction import redacted


class GanforgeError(Exception):
    """Base of all errors that the CLI reports as one message with exit code 2.

    Secrets in the message are hidden.
    """

    def __init__(self, *args: object) -> None:
        super().__init__(*redacted(args))


class ConfigError(GanforgeError):
    """The pipeline file, or a combination it asks for, is not valid."""


class PluginError(GanforgeError):
    """A plugin cannot be used."""


class PluginNotFound(PluginError):
    """No installed plugin provides a component of that name."""


class PluginConflict(PluginError):
    """Two installed plugins claim the same name."""


class PluginContractError(PluginError):
    """A plugin breaks the contract of a hook or of a component."""


class DataError(GanforgeError):
    """The data is missing, damaged or not what was declared."""


class ShardError(DataError):
    """A shard does not match its index or cannot be read."""


class ShapeError(GanforgeError):
    """A tensor has the wrong shape or type at a public seam."""


class TrainingError(GanforgeError):
    """Training cannot start or go on."""


class RunStopped(TrainingError):
    """A signal told the run to stop. Its state is saved; the same command goes on from there."""

    exit_code: ClassVar[int] = 75
    """EX_TEMPFAIL of sysexits.h: a scheduler may start the same command again."""


class NonFiniteError(TrainingError):
    """A loss or a gradient is NaN or infinite; no network was updated with it."""


class CheckpointError(GanforgeError):
    """A checkpoint is damaged, incomplete or of another run."""


class MetricError(GanforgeError):
    """A metric cannot be computed with these options or on these images."""


class PublishError(GanforgeError):
    """A model cannot be exported, pushed or pulled."""


def suggest(name: str, valid: Iterable[str]) -> str:
    """Return the sentence that helps after an unknown name: near matches, then all valid names."""
    names = sorted(valid)
    if not names:
        return "None is available."
    near = difflib.get_close_matches(name, names, n=3, cutoff=0.6)
    hint = f"Did you mean {' or '.join(repr(n) for n in near)}? " if near else ""
    return f"{hint}Valid: {', '.join(names)}."


_ADVICE = {
    errno.EACCES: "is not permitted. Choose a path you may write to, or change its permissions.",
    errno.EPERM: "is not permitted. Choose a path you may write to, or change its permissions.",
    errno.EROFS: "failed: the file system is read-only. Choose another path.",
    errno.ENOSPC: "failed: the disk is full. Make room or choose another disk, then run again.",
    errno.EDQUOT: "failed: your disk quota is used up. Make room, then run again.",
    errno.EMFILE: "failed: too many files are open. Raise the limit: ulimit -n 4096.",
    errno.ENFILE: "failed: too many files are open on this machine. Close some programs.",
    errno.ENOENT: "failed: it does not exist. Check the path.",
    errno.EEXIST: "failed: something of this name is in the way. Remove it or choose another path.",
    errno.ENOTDIR: "failed: a part of the path is a file. Check the path.",
    errno.EISDIR: "failed: it is a folder. Name a file.",
    errno.ENAMETOOLONG: "failed: the name is too long. Choose a shorter one.",
    errno.ELOOP: "failed: its links lead in a circle. Correct them.",
}
_FULL = (errno.ENOSPC, errno.EDQUOT)


def explain(err: BaseException) -> str | None:
    """The message for an error that a user can cause or fix; None for all others.

    An operating-system error counts when it names a path and has a plain cause, or when the disk
    is full; anything else is a fault of the program and keeps its traceback.
    """
    if isinstance(err, GanforgeError):
        return str(err)
    if isinstance(err, OSError) and err.errno in _ADVICE:
        if err.filename is None and isinstance(err, FileNotFoundError) and _is_folder_gone():
            return "The current folder was deleted. Change to another one: cd FOLDER."
        if err.filename:
            return f"Access to {err.filename} {_ADVICE[err.errno]}"
        if err.errno in _FULL:
            return f"Writing {_ADVICE[err.errno]}"
    return None


def _is_folder_gone() -> bool:
    try:
        os.getcwd()
    except FileNotFoundError:
        return True
    return False
