"""The contract across processes: one rank and two ranks with equal slots train the same.

`python -m ganforge.plugin_tools.ranks OUT NAME ...` trains each architecture for a few steps and
writes digests; `compare_ranks` starts it under torchrun, trains the same alone meanwhile, and
compares.
"""

import json
import os
import signal
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import torch

from ganforge.errors import PluginContractError
from ganforge.plugin_tools.cases import Case, cases_of, start, train_case
from ganforge.training.runtime import Runtime

_NUM_SLOTS = 2
_NUM_STEPS = 2
_TOLERANCE = 1e-4
_TIMEOUT_SEC = 900
Report = dict[str, dict[str, Any]]
"""By case: mean size and projection of each tensor, or what failed."""


def compare_ranks(names: Sequence[str]) -> dict[str, str]:
    """By case: what is wrong with training on one and on two ranks; empty where they agree.

    Raises:
        PluginContractError: the processes could not be run at all.
    """
    with ThreadPoolExecutor(1) as pool:
        ranks = pool.submit(_run_ranks, names)
        alone, together = _report(names), ranks.result()
    return {label: _verdict(label, alone[label], together[label]) for label in alone}


def _run_ranks(names: Sequence[str]) -> Report:
    launcher = [sys.executable, "-m", "torch.distributed.run", "--standalone"]
    launcher.append(f"--nproc-per-node={_NUM_SLOTS}")
    with tempfile.TemporaryDirectory() as folder:
        out = Path(folder) / "report.json"
        command = [*launcher, "-m", "ganforge.plugin_tools.ranks", str(out), *names]
        fault = _call(command)
        if fault or not out.exists():
            raise PluginContractError(
                f"{', '.join(names)}: training on {_NUM_SLOTS} ranks {fault or 'wrote nothing'} "
                f"Run it by hand to see all of it: {' '.join(command)}"
            )
        report: Report = json.loads(out.read_text())
        return report


def _call(command: Sequence[str]) -> str:
    """Run a command with one thread per process; empty, or what went wrong."""
    environment = {**os.environ, "OMP_NUM_THREADS": "1", "GANFORGE_NUM_THREADS": "1"}
    # Its own session, so that a time-out ends the ranks with their launcher.
    process = subprocess.Popen(
        command,
        env=environment,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
    )
    try:
        _, errors = process.communicate(timeout=_TIMEOUT_SEC)
    except subprocess.TimeoutExpired:
        os.killpg(process.pid, signal.SIGKILL)
        process.communicate()
        return f"did not end within {_TIMEOUT_SEC} s."
    return f"failed (exit code {process.returncode}): {errors[-2000:]}" * bool(process.returncode)


def _report(names: Sequence[str]) -> Report:
    """Train every case of these architectures on this rank, among others or alone."""
    report: Report = {}
    for name in names:
        for case in cases_of(name):
            try:
                report[case.label] = digest(case.with_slots(_NUM_SLOTS))
            except Exception as err:  # noqa: BLE001  # a plugin may fail in any way; name it
                report[case.label] = {"fault": f"'{case.label}': {type(err).__name__}: {err}"}
    return report


def _verdict(label: str, alone: dict[str, Any], together: dict[str, Any]) -> str:
    fault = alone.get("fault") or together.get("fault")
    if fault:
        return str(fault)
    for name, (size, projection) in alone["digests"].items():
        other_size, other_projection = together["digests"][name]
        gap = max(abs(size - other_size), abs(projection - other_projection))
        if not gap <= _TOLERANCE * max(size, 1e-3):
            return (
                f"Architecture '{label}': with {_NUM_SLOTS} slots, 1 and 2 ranks differ in {name} "
                f"(by {gap:.3g}, mean size {size:.3g}). Keep state in parameters, float buffers "
                f"or batch.slot_state, and nothing on the Python object."
            )
    return ""


def digest(case: Case) -> dict[str, Any]:
    """Train a case and sum up its state: mean size and a fixed projection of every tensor."""
    snapshot = train_case(case, start(case, _NUM_STEPS)).snapshot()
    digests = {}
    for kind in ("networks", "ema", "modules", "slots"):
        for name, tensor in snapshot.tensors[kind].items():
            flat = tensor.detach().double().flatten()
            weights = torch.arange(flat.numel(), dtype=torch.float64).cos()
            if flat.numel():
                numbers = flat.abs().mean(), (flat * weights).mean()
                digests[f"{kind}: {name}"] = tuple(map(float, numbers))
    return {"digests": digests}


def main(arguments: Sequence[str]) -> None:
    """Train the architectures named after the output file; rank 0 writes the report."""
    out, *names = arguments
    report = _report(names)
    if int(os.environ.get("RANK", "0")) == 0:
        Path(out).write_text(json.dumps(report))
    Runtime(precision="fp32").close()


if __name__ == "__main__":
    main(sys.argv[1:])
