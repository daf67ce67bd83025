"""Where ganforge keeps what it can download or compute again."""

import os
import tempfile
from pathlib import Path

_NETWORK_FILE_SYSTEMS = {
    "9p", "afs", "beegfs", "ceph", "cifs", "fuse.glusterfs", "fuse.juicefs", "fuse.sshfs", "gpfs",
    "lustre", "nfs", "nfs4", "panfs", "smb3", "smbfs", "virtiofs", "wekafs",
}  # fmt: skip
_MOUNTS = Path("/proc/self/mounts")


def default_cache_dir() -> Path:
    """The user's cache folder for ganforge, as the XDG standard places it."""
    return Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "ganforge"


def node_cache_dir() -> Path:
    """A cache folder on a disk of this machine, for data that many processes read all the time.

    `SLURM_TMPDIR` if the cluster sets it; else the user's cache folder, unless that is on a network
    file system; else the temporary folder (`TMPDIR`).
    """
    local = os.environ.get("SLURM_TMPDIR")
    if local:
        return Path(local) / "ganforge"
    usual = default_cache_dir()
    if not is_network_folder(usual):
        return usual
    # Several users share a node's temporary folder.
    return Path(tempfile.gettempdir()) / f"ganforge-{os.getuid()}"


def is_network_folder(folder: Path) -> bool:
    """Whether a folder lies, or would lie, on a network file system, as far as Linux tells."""
    try:
        mounts = [line.split(" ")[1:3] for line in _MOUNTS.read_text().splitlines()]
    except OSError:
        return False
    kinds = {place.replace(r"\040", " "): kind for place, kind in mounts}
    absolute = folder.resolve()
    found = next((str(p) for p in (absolute, *absolute.parents) if str(p) in kinds), None)
    return found is not None and kinds[found] in _NETWORK_FILE_SYSTEMS
