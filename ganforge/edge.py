"""At the program's edge: which exceptions become one message to the user."""

import errno

from ganforge.errors import GanforgeError

_ADVICE = {
    errno.EACCES: "is not permitted. Choose a path you may write to, or change its permissions.",
    errno.EPERM: "is not permitted. Choose a path you may write to, or change its permissions.",
    errno.EROFS: "failed: the file system is read-only. Choose another path.",
    errno.ENOSPC: "failed: the disk is full. Make room or choose another disk, then run again.",
    errno.EDQUOT: "failed: your disk quota is used up. Make room, then run again.",
    errno.ENOENT: "failed: it does not exist. Check the path.",
    errno.EEXIST: "failed: something of this name is in the way. Remove it or choose another path.",
    errno.ENOTDIR: "failed: a part of the path is a file. Check the path.",
    errno.EISDIR: "failed: it is a folder. Name a file.",
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
        if err.filename:
            return f"Access to {err.filename} {_ADVICE[err.errno]}"
        if err.errno in _FULL:
            return f"Writing {_ADVICE[err.errno]}"
    return None
