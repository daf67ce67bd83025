"""How near a translator's drawings of held-out emoji come to what the other artist drew.

It translates the emoji that neither domain has seen and compares each with its counterpart, by
the mean absolute difference in 8-bit steps. The difference between the two drawings themselves,
which is what a model that changes nothing would score, stands beside it.

    python tests/benchmarks/judge_emoji.py runs/cyclegan-emoji/export [--json]
"""

import json
from pathlib import Path

import click
import torch
from ganforge_emoji.domains import EmojiDomains, EmojiDomainsConfig
from torch import Tensor

import ganforge
from ganforge.imaging.images import from_pil

PACKAGE = "data/emoji/node_modules/emoji-datasource-{}"


def held_out(google: str, twitter: str) -> dict[str, Tensor]:
    """Float images [N, 3, 64, 64] in [-1, 1] of both domains, pair by pair."""
    config = EmojiDomainsConfig(google=google, twitter=twitter, split="test")
    pairs = [sample.fields for sample in EmojiDomains(config).samples()]
    names = ("source", "target")
    return {name: torch.stack([from_pil(pair[name]) for pair in pairs]) for name in names}


def difference(img: Tensor, wanted: Tensor) -> float:
    """Mean absolute difference in 8-bit steps."""
    return float((img.float() - wanted).abs().mean() * 127.5)


@click.command()
@click.argument("model", type=str)
@click.option("--google", default=PACKAGE.format("google"), show_default=True)
@click.option("--twitter", default=PACKAGE.format("twitter"), show_default=True)
@click.option("--json", "as_json", is_flag=True, help="One JSON object on standard output.")
def main(model: str, google: str, twitter: str, as_json: bool) -> None:
    """Judge MODEL: an export folder or a repository of the Hub."""
    translator = ganforge.from_pretrained(model)
    pairs = held_out(google, twitter)
    untouched = difference(pairs["source"], pairs["target"])
    result: dict[str, float | int] = {"pairs": len(pairs["source"]), "unchanged": untouched}
    for direction in translator.info.directions:
        start, end = direction.split("_to_")
        with torch.inference_mode():
            img = translator.translate(pairs[start], direction=direction, output_type="pt")
        result[direction] = difference(img.cpu(), pairs[end])
    if as_json:
        click.echo(json.dumps({"model": Path(model).name, **result}))
        return
    for name, value in result.items():
        click.echo(f"{name:18} {value:.2f}" if isinstance(value, float) else f"{name:18} {value}")


if __name__ == "__main__":
    main()
