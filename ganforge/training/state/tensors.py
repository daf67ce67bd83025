"""Named tensors: networks as flat mappings, and copying between mappings, strictly or leniently."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path

import safetensors
import torch
from torch import Tensor, nn

from ganforge.errors import CheckpointError


def flatten(states: Mapping[str, Mapping[str, Tensor]], separator: str = ".") -> dict[str, Tensor]:
    """Merge state dicts under prefixed keys."""
    return {f"{p}{separator}{k}": v for p, state in states.items() for k, v in state.items()}


def by_role(tensors: Mapping[str, Tensor]) -> dict[str, dict[str, Tensor]]:
    """Tensors `role.name`, as `flatten` makes them, by role and name."""
    found: dict[str, dict[str, Tensor]] = {}
    for key, tensor in tensors.items():
        role, _, name = key.partition(".")
        found.setdefault(role, {})[name] = tensor
    return found


def storable(tensors: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Contiguous tensors on the CPU that share no memory, as safetensors wants them."""
    seen: set[int] = set()
    stored = {}
    for name, tensor in tensors.items():
        value = tensor.detach().cpu().contiguous()
        address = value.untyped_storage().data_ptr()
        stored[name] = value.clone() if address in seen else value  # tied weights
        seen.add(address)
    return stored


@torch.no_grad()
def host_copies(tensors: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Copies on the host; those from a GPU go to pinned memory, all at once."""
    copies, is_cuda = {}, False
    for name, tensor in tensors.items():
        is_cuda |= tensor.is_cuda
        target = torch.empty(tensor.shape, dtype=tensor.dtype, pin_memory=tensor.is_cuda)
        copies[name] = target.copy_(tensor, non_blocking=True)
    if is_cuda:
        torch.cuda.synchronize()
    return copies


def load_networks(networks: Mapping[str, nn.Module], tensors: Mapping[str, Tensor]) -> None:
    """Load tensors `role.name`, as `flatten` makes them, into the networks of these roles.

    Raises:
        CheckpointError: as `copy_tensors`.
    """
    copy_tensors(
        flatten({role: network.state_dict() for role, network in networks.items()}), tensors
    )


def check_shapes(networks: Mapping[str, nn.Module], file: Path) -> None:
    """Check that a safetensors file holds these networks, by its header, before it is read.

    Raises:
        CheckpointError: as `copy_tensors`.
        SafetensorError: it is no safetensors file.
    """
    with safetensors.safe_open(file, "pt") as opened:
        saved = {
            name: torch.empty(opened.get_slice(name).get_shape(), device="meta")
            for name in opened.keys()  # noqa: SIM118  # it is no mapping
        }
    live = flatten({role: network.state_dict() for role, network in networks.items()})
    _refuse_differences(compare(live, saved))


def copy_tensors(live: Mapping[str, Tensor], saved: Mapping[str, Tensor]) -> None:
    """Copy saved tensors into the live ones of the same names; all of them must match.

    Raises:
        CheckpointError: names or shapes differ, nothing is copied; the message is a part of a
            sentence, for the caller to say where and what to do.
    """
    found = compare(live, saved)
    _refuse_differences(found)
    copy_matching(live, saved, found.matching)


def _refuse_differences(found: "Comparison") -> None:
    faults = [f"missing {name}" for name in found.missing]
    faults += [f"unexpected {name}" for name in found.unused]
    faults += [f"{n} is {list(old)}, not {list(new)}" for n, (old, new) in found.reshaped.items()]
    if faults:
        shown = "; ".join(faults[:5]) + ("; ..." if len(faults) > 5 else "")
        raise CheckpointError(f"{len(faults)} tensor(s) differ: {shown}.")


@dataclass(frozen=True)
class Comparison:
    """How saved tensors fit live ones.

    Attributes:
        matching: names that both have, in one shape.
        reshaped: names that both have -> shape of the saved and of the live tensor.
        missing: names that only the live tensors have.
        unused: names that only the saved tensors have.
    """

    matching: tuple[str, ...]
    reshaped: dict[str, tuple[torch.Size, torch.Size]]
    missing: tuple[str, ...]
    unused: tuple[str, ...]


def compare(live: Mapping[str, Tensor], saved: Mapping[str, Tensor]) -> Comparison:
    """Compare names and shapes; the tensors may be on the meta device."""
    common = [name for name in live if name in saved]
    return Comparison(
        matching=tuple(name for name in common if live[name].shape == saved[name].shape),
        reshaped={
            name: (saved[name].shape, live[name].shape)
            for name in common
            if live[name].shape != saved[name].shape
        },
        missing=tuple(name for name in live if name not in saved),
        unused=tuple(name for name in saved if name not in live),
    )


@torch.no_grad()
def copy_matching(
    live: Mapping[str, Tensor], saved: Mapping[str, Tensor], names: Iterable[str]
) -> None:
    """Copy these saved tensors into the live ones."""
    for name in names:
        live[name].copy_(saved[name])
