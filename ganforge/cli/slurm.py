"""`ganforge slurm submit`, and what slurm/train.sbatch calls."""

import os
import sys

import click


@click.group(epilog="Example: ganforge slurm submit quickstart --nodes 2 --dry-run")
def slurm() -> None:
    """Run pipelines on a Slurm cluster."""


@slurm.command(
    epilog="Example: ganforge slurm submit quickstart --nodes 2 --time 24:00:00 --dry-run"
)
@click.argument("pipeline")
@click.argument("overrides", nargs=-1)
@click.option(
    "--nodes", type=click.IntRange(1), default=1, show_default=True, help="Nodes of a job."
)
@click.option(
    "--gpus-per-node", type=click.IntRange(0), default=0, show_default=True,
    help="GPUs of each node, with one process each; 0 trains on CPUs.",
)  # fmt: skip
@click.option(
    "--tasks-per-node", type=click.IntRange(1), default=1, show_default=True,
    help="Processes of each node, without GPUs.",
)  # fmt: skip
@click.option("--cpus-per-task", type=click.IntRange(1), help="Cores of each process.")
@click.option("--time", help="Time limit of each job, e.g. 24:00:00.")
@click.option(
    "--sbatch", "options", multiple=True,
    help="Further option of sbatch, e.g. --sbatch=--partition=gpu; may be repeated.",
)  # fmt: skip
@click.option("--dry-run", is_flag=True, help="Print the commands and submit nothing.")
def submit(
    pipeline: str, overrides: tuple[str, ...], options: tuple[str, ...], dry_run: bool, **given: int
) -> None:
    """Submit the stages of PIPELINE as jobs, each of which waits for the one before.

    The jobs run in the current folder, with the Python that runs this command.
    """
    from ganforge.config.load import load_pipeline
    from ganforge.pipeline import slurm as jobs

    config = load_pipeline(pipeline, overrides)
    folder = config.run_folder / "slurm"
    kept = [override for override in overrides if not override.startswith("stages=")]
    resources = jobs.Resources(options=options, **given)  # type: ignore[arg-type]
    planned = jobs.plan_jobs(config.stages, pipeline, kept, folder, config.name, resources)
    if dry_run:
        click.echo(jobs.shown(planned))
        return
    jobs.write_scripts(folder)
    os.environ.setdefault("GANFORGE_PYTHON", sys.executable)
    for stage, number in jobs.submit(planned).items():
        click.echo(f"{stage}: job {number}")


@slurm.command(
    "may-requeue", hidden=True, epilog="Example: ganforge slurm may-requeue 1 PIPELINE.yaml"
)
@click.argument("status", type=int)
@click.argument("pipeline")
@click.argument("overrides", nargs=-1)
@click.pass_context
def may_requeue(ctx: click.Context, status: int, pipeline: str, overrides: tuple[str, ...]) -> None:
    """Exit with 0 if a job that ended with STATUS should start again."""
    from ganforge.config.load import load_pipeline
    from ganforge.pipeline.requeue import judge, max_requeues

    config = load_pipeline(pipeline, overrides)
    job = os.environ.get("SLURM_JOB_ID", "")
    verdict = judge(status, config.run_folder, job, max_requeues())
    start = int(os.environ.get("SLURM_RESTART_COUNT", "0")) + 2
    click.echo(
        f"Not finished ({verdict.reason}): back to the queue (start {start})."
        if verdict.again
        else f"Not back to the queue: {verdict.reason}."
    )
    ctx.exit(0 if verdict.again else 1)
