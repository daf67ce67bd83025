"""The devices of this machine."""

import torch

from ganforge.errors import ConfigError


def resolve_device(device: torch.device | str | None) -> torch.device:
    """Check that a device exists; the default is the GPU if there is one.

    Raises:
        ConfigError: there is no such device; names those that exist.
    """
    if device is None:
        return torch.device("cuda" if torch.cuda.is_available() else "cpu")
    there = _there()
    try:
        found = torch.device(device)
    except (RuntimeError, TypeError, ValueError):
        found = None
    if found is None or not {str(found), f"{found.type}:{found.index or 0}"} & {*there, "cpu:0"}:
        raise ConfigError(
            f"device={str(device)!r}: there is no such device. This machine has "
            f"{', '.join(there)}; use one of these, or leave it out."
        )
    return found


def _there() -> list[str]:
    found = ["cpu"]
    if torch.cuda.is_available():
        found += ["cuda", *(f"cuda:{index}" for index in range(torch.cuda.device_count()))]
    if torch.backends.mps.is_available():
        found += ["mps", "mps:0"]
    return found
