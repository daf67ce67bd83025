"""Options that several commands share."""

from collections.abc import Callable
from typing import Any

import click

Decorator = Callable[[Callable[..., Any]], Callable[..., Any]]

model = click.argument("model")
revision = click.option("--revision", help="Branch, tag or commit on the Hub.")
device = click.option("--device", help="E.g. cpu or cuda:1. Default: the GPU if there is one.")
offline = click.option("--offline", is_flag=True, help="Use only what is in the local cache.")
batch_size = click.option("--batch-size", default=16, show_default=True, help="Images at a time.")
option = click.option(
    "-o", "--option", "options", multiple=True, metavar="KEY=VALUE",
    help="An option of the architecture's generate; repeatable.",
)  # fmt: skip
as_json = click.option("--json", "as_json", is_flag=True, help="Print JSON.")
label = click.option(
    "--label", "labels", multiple=True, help="Class, by name or index; repeatable."
)
attributes = click.option(
    "--attributes", multiple=True, metavar="NAMES",
    help='Attributes that are on, e.g. "female, glasses"; repeatable.',
)  # fmt: skip
text = click.option("--text", "texts", multiple=True, help="What to draw, in words; repeatable.")
text_encoder = click.option(
    "--text-encoder", multiple=True, metavar="KEY=VALUE",
    help="Where the text's encoder lies on this machine, e.g. path=words.txt.",
)  # fmt: skip
truncation = click.option(
    "--truncation", type=float, help="Truncation, where the architecture has it."
)

_extractor = click.option("--extractor", default="inception_v3", show_default=True)
_extractor_option = click.option(
    "--extractor-option", multiple=True, metavar="KEY=VALUE", help="E.g. weights=PATH; repeatable."
)


def extractor(command: Callable[..., Any]) -> Callable[..., Any]:
    """Add what features are measured by."""
    return _all(command, _extractor, _extractor_option)


def conditions(command: Callable[..., Any]) -> Callable[..., Any]:
    """Add what an image can be asked to show."""
    return _all(command, label, attributes, text, text_encoder, truncation)


def running(command: Callable[..., Any]) -> Callable[..., Any]:
    """Add how a model is loaded and run."""
    return _all(command, batch_size, device, revision, offline, option, as_json)


def _all(command: Callable[..., Any], *decorators: Decorator) -> Callable[..., Any]:
    for decorator in reversed(decorators):
        command = decorator(command)
    return command
