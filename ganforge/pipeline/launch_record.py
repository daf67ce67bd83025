"""Records each launch of a run in its folder, and writes the report at its end."""

import contextlib
import importlib.metadata
import logging
import os
import platform
import socket
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import torch
import yaml

import ganforge
from ganforge.config.dump import config_diff
from ganforge.config.find import find_pipeline, packaged_pipelines
from ganforge.config.load import load_pipeline
from ganforge.errors import ConfigError, RunStopped
from ganforge.interfaces.stage import RunContext
from ganforge.pipeline.session import runtime_of
from ganforge.registry.plugins import get_registry
from ganforge.report.launches import append, now
from ganforge.report.page import write_report
from ganforge.training.runtime import Runtime

log = logging.getLogger(__name__)
_PACKAGES = ("torchvision", "accelerate", "numpy")
REPORT = "report.html"


@contextlib.contextmanager
def recorded_launch(
    context: RunContext, path_or_name: str, overrides: Sequence[str]
) -> Iterator[None]:
    """Record the start and the end of a launch, on rank 0; at the end, write `report.html`."""
    runtime = runtime_of(context)
    if not runtime.is_main:
        yield
        return
    append(context.run_dir, _start(context, runtime, path_or_name, overrides))
    end = {"outcome": "finished"}
    try:
        yield
    except BaseException as err:
        outcome = "stopped" if isinstance(err, RunStopped | KeyboardInterrupt) else "failed"
        end = {"outcome": outcome, "message": str(err) or type(err).__name__}
        raise
    finally:
        # A full disk or a fault of the report must neither hide an error nor fail a whole run.
        try:
            append(context.run_dir, {"ended": now(), **end})
            write_report([context.run_dir], context.run_dir / REPORT)
        except Exception as err:  # noqa: BLE001
            log.warning("There is no report of this run: %s", str(err) or type(err).__name__)


def _start(
    context: RunContext, runtime: Runtime, path_or_name: str, overrides: Sequence[str]
) -> dict[str, Any]:
    return {
        "started": now(),
        "pipeline": path_or_name,
        "overrides": list(overrides),
        **_changes(context, path_or_name),
        "machine": _machine(runtime),
        "versions": _versions(),
    }


def _changes(context: RunContext, path_or_name: str) -> dict[str, Any]:
    """The recipe, and what the run changes in it."""
    recipe, path = path_or_name, find_pipeline(path_or_name)
    parent = yaml.safe_load(path.read_text("utf-8-sig")).get("extends")
    if path not in packaged_pipelines().values() and isinstance(parent, str):
        # A file that extends a recipe is shown by its difference from that recipe.
        recipe, path = parent, find_pipeline(parent, path.parent)
    try:
        base = load_pipeline(str(path), (), get_registry().options_model)
    except ConfigError:  # a base file need not be complete
        return {}
    return {"recipe": recipe, "changes": config_diff(base, context.config)}


def _machine(runtime: Runtime) -> dict[str, Any]:
    devices = {f"gpu {i}": torch.cuda.get_device_name(i) for i in range(torch.cuda.device_count())}
    slurm = {"slurm job": os.environ["SLURM_JOB_ID"]} if "SLURM_JOB_ID" in os.environ else {}
    return {
        "host": socket.gethostname(),
        "system": platform.platform(),
        "processor": _processor(),
        "cores": len(os.sched_getaffinity(0)),
        "device": runtime.device.type,
        **devices,
        "ranks": runtime.world_size,
        "threads": torch.get_num_threads(),
        "precision": runtime.precision,
        **slurm,
    }


def _processor() -> str:
    """The name of the CPU, from Linux where there is one."""
    try:
        lines = Path("/proc/cpuinfo").read_text().splitlines()
    except OSError:
        return platform.processor()
    names = (line.partition(":")[2].strip() for line in lines if line.startswith("model name"))
    return next(names, platform.machine())


def _versions() -> dict[str, Any]:
    return {
        "ganforge": ganforge.__version__,
        "python": platform.python_version(),
        "torch": torch.__version__,
        **({"cuda": torch.version.cuda} if torch.version.cuda else {}),
        **{package: importlib.metadata.version(package) for package in _PACKAGES},
    }
