"""`ganforge run`."""

import click


@click.command(epilog="Example: ganforge run pipelines/quickstart.yaml train.total_kimg=20")
@click.argument("pipeline")
@click.argument("overrides", nargs=-1)
@click.option("--dry-run", is_flag=True, help="Print the resolved file and a plan; train nothing.")
def run(pipeline: str, overrides: tuple[str, ...], dry_run: bool) -> None:
    """Run the stages of PIPELINE: a YAML file, or the name of a packaged one.

    OVERRIDES are section.key=value. Finished stages are skipped; the same command resumes.
    With several processes: accelerate launch -m ganforge.run PIPELINE.
    """
    from ganforge.pipeline.run import run_pipeline, set_up_logging

    set_up_logging()
    run_pipeline(pipeline, overrides, dry_run=dry_run)
