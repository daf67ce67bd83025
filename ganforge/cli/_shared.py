"""Options that several commands share."""

import contextlib
import logging
from collections.abc import Callable, Iterator
from typing import Any

import click

from ganforge.cli._options import SEEDS, SIZE, read_options, read_own_options
from ganforge.redaction import hide_secrets

Decorator = Callable[[Callable[..., Any]], Callable[..., Any]]

model = click.argument("model")
revision = click.option("--revision", help="Branch, tag or commit on the Hub.")
device = click.option("--device", help="E.g. cpu or cuda:1. Default: the GPU if there is one.")
offline = click.option("--offline", is_flag=True, help="Use only the local cache.")
batch_size = click.option(
    "--batch-size", default=16, show_default=True, type=click.IntRange(min=1),
    help="Images per batch.",
)  # fmt: skip
option = click.option(
    "-o", "--option", "options", multiple=True, metavar="KEY=VALUE", callback=read_own_options,
    help="An option of the architecture; repeatable.",
)  # fmt: skip
as_json = click.option("--json", "as_json", is_flag=True, help="Print JSON.")
seeds = click.option("--seeds", type=SEEDS, help="Seeds and ranges of seeds, e.g. 3,10-19.")
scale = click.option("--scale", default=1, show_default=True, help="Integer upscaling factor.")
label = click.option(
    "--label", "labels", multiple=True, help="Class, by name or index; repeatable."
)
attributes = click.option(
    "--attributes", multiple=True, metavar="NAMES",
    help='Attributes to set, e.g. "female, glasses=0.5"; repeatable.',
)  # fmt: skip
text = click.option("--text", "texts", multiple=True, help="Caption to draw; repeatable.")
text_encoder = click.option(
    "--text-encoder", multiple=True, metavar="KEY=VALUE", callback=read_options,
    help="Option of the text encoder on this machine, e.g. path=words.txt; repeatable.",
)  # fmt: skip
truncation = click.option("--truncation", type=float, help="Truncation psi or threshold.")


def count(number: int, noun: str) -> str:
    """1 image, 2 images."""
    return f"{number} {noun}" if number == 1 else f"{number} {noun}s"


class _StandardError(logging.Handler):
    def emit(self, record: logging.LogRecord) -> None:
        click.echo(self.format(record), err=True)


@contextlib.contextmanager
def shown_log() -> Iterator[None]:
    """Shows what ganforge logs while a command runs, on standard error."""
    logger, handler = logging.getLogger("ganforge"), _StandardError()
    handler.addFilter(hide_secrets)
    level = logger.level
    logger.addHandler(handler)
    logger.setLevel(logging.INFO)
    try:
        yield
    finally:
        logger.removeHandler(handler)
        logger.setLevel(level)


def _all(*decorators: Decorator) -> Decorator:
    def decorate(command: Callable[..., Any]) -> Callable[..., Any]:
        for decorator in reversed(decorators):
            command = decorator(command)
        return command

    return decorate


extractor = _all(
    click.option("--extractor", default="inception_v3", show_default=True),
    click.option("--extractor-option", multiple=True, metavar="KEY=VALUE",
                 help="E.g. weights=PATH; repeatable."),
)  # fmt: skip
sizing = _all(
    click.option(
        "--size", type=SIZE, default="keep", show_default=True, metavar="keep|model|N|HEIGHTxWIDTH",
        help="Size of the results: unchanged, that of the training images, or another one.",
    ),
    click.option(
        "--resize", type=click.Choice(["crop", "pad", "stretch"]),
        help="How an image with another aspect ratio is resized to --size. Default: crop.",
    ),
)  # fmt: skip
conditions = _all(label, attributes, text, text_encoder, truncation)
running = _all(batch_size, device, revision, offline, option, as_json)
