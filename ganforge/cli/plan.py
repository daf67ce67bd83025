"""`ganforge plan`."""

import json

import click

from ganforge.cli import _shared
from ganforge.cli._options import FiniteRange


@click.command(epilog="Example: ganforge plan stylegan_ffhq1024 --gpus 8xH100 --price 2.5")
@click.argument("pipeline")
@click.argument("overrides", nargs=-1)
@click.option("--gpus", required=True, help="E.g. 64xH100; with --measure a number.")
@click.option("--price", type=FiniteRange(min=0), help="Price of a GPU-hour.")
@click.option("--measure", is_flag=True, help="Time a step on this machine's device.")
@_shared.as_json
def plan(
    pipeline: str,
    overrides: tuple[str, ...],
    gpus: str,
    price: float | None,
    measure: bool,
    as_json: bool,
) -> None:
    """Predict what PIPELINE takes on some GPUs: memory, days, data rate, price.

    Nothing is trained, and no GPU is needed. OVERRIDES are section.key=value.
    """
    from ganforge.config.load import load_pipeline
    from ganforge.planning.gpus import parse_count, parse_gpus
    from ganforge.planning.pipeline import plan_measured, plan_pipeline
    from ganforge.planning.text import describe, to_dict
    from ganforge.registry.components import resolve
    from ganforge.registry.plugins import get_registry

    components = resolve(load_pipeline(pipeline, overrides, get_registry().options_model))
    if measure:
        found = plan_measured(components, parse_count(gpus), price)
    else:
        found = plan_pipeline(components, parse_gpus(gpus), price)
    click.echo(json.dumps(to_dict(found), indent=2) if as_json else describe(found))
