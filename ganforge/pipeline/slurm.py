"""Submits the stages of a pipeline to Slurm, each as a job that waits for the one before."""

import re
import shlex
import shutil
import subprocess
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from ganforge.errors import ConfigError, GanforgeError

SCRIPTS = ("train.sbatch", "evaluate.sbatch", "publish.sbatch")
_SCRIPT_OF = {"evaluate": "evaluate.sbatch", "publish": "publish.sbatch"}


@dataclass(frozen=True)
class Resources:
    """What a pipeline's jobs get.

    Attributes:
        nodes: of the training job; evaluation has one.
        tasks_per_node: without GPUs, processes per node of the training job.
        gpus_per_node: of training and evaluation, one task each; 0 for CPUs.
        cpus_per_task: cores of each process; None for the site's default.
        time: limit of each job, as sbatch takes it; None for the site's default.
        options: further options of sbatch for all jobs, such as --partition=gpu.
    """

    nodes: int = 1
    tasks_per_node: int = 1
    gpus_per_node: int = 0
    cpus_per_task: int | None = None
    time: str | None = None
    options: tuple[str, ...] = ()


@dataclass(frozen=True)
class Job:
    """One call of sbatch.

    Attributes:
        stage: what it runs.
        options: of sbatch, without the dependency.
        arguments: the script and what it is given.
    """

    stage: str
    options: tuple[str, ...]
    arguments: tuple[str, ...]

    def command(self, after: str | None) -> list[str]:
        """The command that submits it, to start when the job `after` has succeeded."""
        wait = [] if after is None else [f"--dependency=afterok:{after}"]
        if wait:
            wait.append("--kill-on-invalid-dep=yes")
        return ["sbatch", "--parsable", *self.options, *wait, *self.arguments]


def plan_jobs(
    stages: Sequence[str],
    pipeline: str,
    overrides: Sequence[str],
    folder: Path,
    name: str,
    resources: Resources,
) -> list[Job]:
    """One job per stage, in order.

    Args:
        stages: names of the stages.
        pipeline: the file.
        overrides: of the file.
        folder: where the scripts lie.
        name: of the run, for the queue.
        resources: of the jobs.
    """
    jobs = []
    for stage in stages:
        script = folder / _SCRIPT_OF.get(stage, "train.sbatch")
        chosen = [] if stage in _SCRIPT_OF else [f"stages=[{stage}]"]
        options = (f"--job-name={name}-{stage}", *_options(stage, resources), *resources.options)
        jobs.append(Job(stage, options, (str(script), pipeline, *overrides, *chosen)))
    return jobs


def _options(stage: str, resources: Resources) -> list[str]:
    options = []
    if stage in ("prepare", "publish"):  # rank 0 alone works
        options += ["--nodes=1", "--ntasks-per-node=1"]
    else:
        nodes = 1 if stage == "evaluate" else resources.nodes
        tasks = resources.gpus_per_node or resources.tasks_per_node
        options += [f"--nodes={nodes}", f"--ntasks-per-node={tasks}"]
        if resources.gpus_per_node:
            options.append(f"--gpus-per-node={resources.gpus_per_node}")
    if resources.cpus_per_task is not None:
        options.append(f"--cpus-per-task={resources.cpus_per_task}")
    if resources.time is not None:
        options.append(f"--time={resources.time}")
    return options


def shown(jobs: Sequence[Job]) -> str:
    """The commands as a shell script that submits the same jobs."""
    lines, after = [], None
    for job in jobs:
        command = " ".join(
            word if word.startswith("--dependency") else shlex.quote(word)
            for word in job.command(after)
        )
        variable = re.sub(r"\W", "_", job.stage)
        lines.append(f"{variable}=$({command})")
        after = f"${variable}"
    return "\n".join(lines)


def submit(jobs: Sequence[Job]) -> dict[str, str]:
    """Submit the jobs, each to start when the one before has succeeded; their numbers by stage.

    Raises:
        GanforgeError: Slurm is not there, or refuses a job; those before it stay in the queue.
    """
    numbers: dict[str, str] = {}
    after = None
    for job in jobs:
        command = job.command(after)
        try:
            done = subprocess.run(command, capture_output=True, text=True, check=True)
        except FileNotFoundError as err:
            raise GanforgeError(
                "There is no sbatch on this machine. Submit on a login node of the cluster, or "
                "show the commands with --dry-run."
            ) from err
        except subprocess.CalledProcessError as err:
            waiting = " ".join(numbers.values())
            raise GanforgeError(
                f"Slurm refuses the job of {job.stage}: {err.stderr.strip()}. The command was: "
                f"{shlex.join(command)}." + f" In the queue: {waiting}." * bool(waiting)
            ) from err
        after = numbers[job.stage] = done.stdout.strip().partition(";")[0]
    return numbers


def write_scripts(folder: Path) -> None:
    """Copy the scripts that come with ganforge, so that what was submitted stays as it was."""
    folder.mkdir(parents=True, exist_ok=True)
    for name in SCRIPTS:
        shutil.copyfile(script_folder() / name, folder / name)


def script_folder() -> Path:
    """The scripts in the package, or in a checkout.

    Raises:
        ConfigError: they are in neither.
    """
    package = Path(__file__).parents[1]
    for folder in (package / "slurm", package.parent / "slurm"):
        if all((folder / name).is_file() for name in SCRIPTS):
            return folder
    raise ConfigError(f"The Slurm scripts are not in {package / 'slurm'}. Install ganforge again.")
