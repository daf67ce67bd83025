"""The checks of `ganforge doctor`. Each returns findings and never raises."""

import importlib.metadata
import os
import platform
import shutil
import sys
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import yaml

from ganforge.errors import GanforgeError
from ganforge.io.network import network_faults
from ganforge.training.launch import launch_faults

_PACKAGES = ("ganforge", "torch", "torchvision", "accelerate", "webdataset", "torch-fidelity",
             "huggingface_hub", "datasets", "numpy")  # fmt: skip
_LAUNCH_VARIABLES = ("RANK", "WORLD_SIZE", "LOCAL_RANK", "MASTER_ADDR", "MASTER_PORT",
                     "SLURM_JOB_ID", "SLURM_NTASKS", "SLURM_PROCID", "CUDA_VISIBLE_DEVICES",
                     "OMP_NUM_THREADS")  # fmt: skip
_LOW_DISK_BYTES = 10 * 2**30


@dataclass(frozen=True)
class Finding:
    """One line of the report."""

    status: Literal["ok", "warn", "FAIL"]
    topic: str
    text: str


def examine(run_dir: Path, environ: Mapping[str, str] = os.environ) -> list[Finding]:
    """Run all checks; `run_dir` is the folder of the runs."""
    checks = (
        *(_versions(), _device(), _compiler(), _launch(environ), accelerate_config(environ)),
        *(_plugins(), _disk(run_dir), _inception(), _hub_token(environ)),
    )
    return [finding for check in checks for finding in check]


def _versions() -> Iterator[Finding]:
    yield Finding("ok", "python", f"{platform.python_version()} ({sys.executable})")
    for package in _PACKAGES:
        try:
            yield Finding("ok", package, importlib.metadata.version(package))
        except importlib.metadata.PackageNotFoundError:
            yield Finding("FAIL", package, f"not installed; pip install {package}")


def _device() -> Iterator[Finding]:
    import torch

    if torch.cuda.is_available():
        for index in range(torch.cuda.device_count()):
            found = torch.cuda.get_device_properties(index)
            memory = f"{found.total_memory / 2**30:.0f} GiB"
            yield Finding("ok", "device", f"cuda:{index} {found.name}, {memory}")
        return
    threads = f"CPU, {os.cpu_count()} cores, {torch.get_num_threads()} threads"
    yield Finding("warn", "device", f"{threads}; no CUDA device, so only small runs are practical")


def _compiler() -> Iterator[Finding]:
    """Whether torch.compile works here, tried on a toy as a run tries it."""
    import torch

    from ganforge.training.compiler import compiler_fault

    device = "cuda" if torch.cuda.is_available() else "cpu"
    fault = compiler_fault(device)
    if fault is None:
        yield Finding("ok", "compile", f"a test compilation for {device} worked")
    else:
        yield Finding("warn", "compile", f"training runs uncompiled, and slower: {fault}")


def _launch(environ: Mapping[str, str]) -> Iterator[Finding]:
    found = [f"{name}={environ[name]}" for name in _LAUNCH_VARIABLES if name in environ]
    yield Finding("ok", "launch", " ".join(found) or "one process (no launcher variables)")
    for fault in launch_faults(environ):
        yield Finding("FAIL", "launch", fault)
    tasks = environ.get("SLURM_NTASKS", "1")
    if "SLURM_PROCID" in environ and tasks != "1" and environ.get("WORLD_SIZE", "1") == "1":
        effect = "each task would train its own model"
        cure = "slurm/train.sbatch sets it"
        text = f"SLURM_NTASKS={tasks}, WORLD_SIZE is not set: {effect}; {cure}"
        yield Finding("warn", "launch", text)


def accelerate_config(environ: Mapping[str, str]) -> Iterator[Finding]:
    """The default file of `accelerate config`."""
    home = Path(environ.get("HF_HOME", "~/.cache/huggingface")).expanduser()
    path = home / "accelerate" / "default_config.yaml"
    if not path.is_file():
        yield Finding("ok", "accelerate config", f"none ({path})")
        return
    try:
        values: Any = yaml.safe_load(path.read_text()) or {}
        kind = str(values.get("distributed_type", "NO"))
    except (OSError, ValueError, yaml.YAMLError, AttributeError) as err:
        yield Finding("warn", "accelerate config", f"cannot read {path}: {err}")
        return
    if kind in ("FSDP", "DEEPSPEED", "MEGATRON_LM"):
        text = f"{path} selects {kind}, which ganforge refuses: it reduces gradients itself; "
        text += "run `accelerate config` again and choose none of these"
        yield Finding("FAIL", "accelerate config", text)
    else:
        yield Finding("ok", "accelerate config", f"{path}: distributed_type {kind}")


def _plugins() -> Iterator[Finding]:
    from ganforge.registry.plugins import get_registry

    try:
        registry = get_registry()
        registry.components()  # imports all of them: a conflict shows only then
    except GanforgeError as err:
        yield Finding("FAIL", "plugins", str(err))
        return
    for plugin in registry.plugins.values():
        if plugin.distribution != "ganforge":
            yield Finding("ok", "plugin", f"{plugin.name} ({plugin.distribution} {plugin.version})")
    yield Finding("ok", "plugins", f"{len(registry.plugins)} loaded, no conflict")


def _disk(run_dir: Path) -> Iterator[Finding]:
    existing = next(p for p in (run_dir.absolute(), *run_dir.absolute().parents) if p.exists())
    if not os.access(existing, os.W_OK):
        yield Finding("FAIL", "run dir", f"{existing} is not writable; set run_dir elsewhere")
    else:
        yield Finding("ok", "run dir", f"{run_dir} (writable)")
    free = shutil.disk_usage(existing).free
    text = f"{free / 2**30:.0f} GiB free at {existing}"
    yield Finding("ok" if free > _LOW_DISK_BYTES else "warn", "disk", text)


def _inception() -> Iterator[Finding]:
    """Whether the weights of the FID network are cached."""
    import torch

    from ganforge.io.cache import default_cache_dir
    from ganforge.metrics.weights import PUBLISHED_NAME

    folders = (default_cache_dir(), Path(torch.hub.get_dir()) / "checkpoints")
    found = [path for path in (folder / PUBLISHED_NAME for folder in folders) if path.is_file()]
    if found:
        yield Finding("ok", "inception", str(found[0]))
    else:
        text = f"weights not cached in {folders[0]}; the first FID downloads them"
        yield Finding("warn", "inception", text)


def _hub_token(environ: Mapping[str, str]) -> Iterator[Finding]:
    """Whether the Hub's client can be used and has a token, which is never shown."""
    import huggingface_hub

    for fault in network_faults(environ):
        yield Finding("FAIL", "network", fault)
    if huggingface_hub.get_token():
        yield Finding("ok", "hub token", "present")
    else:
        yield Finding("warn", "hub token", "none; needed only to publish: hf auth login")
