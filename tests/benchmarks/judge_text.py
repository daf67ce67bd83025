"""How often the caption that an image was drawn from is picked out of ten, by a trained matcher.

The matcher, a small convolutional network beside a small network on caption embeddings, learns
from real pairs of the training split to put an image near its caption (Radford et al. 2021,
arXiv:2103.00020). Then a text-to-image model draws captions that neither has seen, and the matcher
picks the nearest of the right caption and nine wrong ones, drawn from the other held-out captions.
Chance is 0.1. The same on the real held-out images, which is about what perfect images would score,
stands beside it.

    python tests/benchmarks/judge_text.py runs/text2image-emoji/export [--json]
"""

import json
from collections.abc import Sequence
from pathlib import Path

import click
import torch
from ganforge.data.prepare.embed import encoder_of
from ganforge_emoji.captions import EmojiCaptions, EmojiCaptionsConfig
from PIL import Image
from torch import Tensor, nn
from torch.nn import functional

import ganforge
from ganforge.imaging.images import from_pil
from ganforge.interfaces.spec import ImageSpec

PACKAGE = "data/emoji/node_modules/emoji-datasource-{}"
CHOICES, CHANCE = 10, 0.1
WIDTH, FEATURES, BATCH = 20, 64, 128
MAX_SHIFT = 3
ROUNDS = 5
"""How often nine wrong captions are drawn for each image."""


class Matcher(nn.Module):
    """Images [N, 3, H, W] and caption embeddings [N, D] to unit vectors [N, FEATURES]."""

    def __init__(self, spec: ImageSpec) -> None:
        super().__init__()
        layers: list[nn.Module] = []
        before, channels, side = spec.channels, WIDTH, (spec.height, spec.width)
        for _ in range(3):
            layers += [*_conv(before, channels), *_conv(channels, channels), nn.MaxPool2d(2)]
            before, channels, side = channels, 2 * channels, (side[0] // 2, side[1] // 2)
        size = before * side[0] * side[1]
        self.see = nn.Sequential(*layers, nn.Flatten(), nn.Dropout(0.3), nn.Linear(size, FEATURES))
        self.read = nn.Sequential(
            nn.Linear(spec.text_dim, 256), nn.ReLU(), nn.Dropout(0.2), nn.Linear(256, FEATURES)
        )
        self.log_scale = nn.Parameter(torch.tensor(2.3))

    def images(self, img: Tensor) -> Tensor:
        """Where images lie."""
        return functional.normalize(self.see(img), dim=1)

    def captions(self, text: Tensor) -> Tensor:
        """Where captions lie."""
        return functional.normalize(self.read(text), dim=1)


def _conv(before: int, after: int) -> list[nn.Module]:
    return [nn.Conv2d(before, after, 3, 1, 1), nn.BatchNorm2d(after), nn.ReLU()]


def pairs(split: str, packages: Sequence[str], spec: ImageSpec) -> tuple[Tensor, list[str]]:
    """Images [N, 3, H, W] in [-1, 1] and their names."""
    google, twitter = packages
    config = EmojiCaptionsConfig(google=google, twitter=twitter, split=split)
    found = [sample.fields for sample in EmojiCaptions(config).samples()]
    size = (spec.width, spec.height)
    img = torch.stack(
        [from_pil(fields["image"].resize(size, Image.Resampling.LANCZOS)) for fields in found]
    )
    return img, [fields["caption"][0] for fields in found]


def train_matcher(
    img: Tensor, text: Tensor, captions: list[str], spec: ImageSpec, steps: int
) -> Matcher:
    """Learn from real pairs, with shifted and mirrored images, by cross-entropy both ways."""
    torch.manual_seed(0)
    matcher = Matcher(spec)
    optimizer = torch.optim.AdamW(matcher.parameters(), 2e-3, weight_decay=0.05)
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimizer, 2e-3, steps)
    names = {caption: number for number, caption in enumerate(dict.fromkeys(captions))}
    number = torch.tensor([names[caption] for caption in captions])
    for step in range(steps):
        rows = torch.randint(len(img), (BATCH,))
        seen = img[rows].flip(3) if step % 2 else img[rows]
        shift = torch.randint(-MAX_SHIFT, MAX_SHIFT + 1, (2,)).tolist()
        seen = torch.roll(seen, shift, (2, 3))
        closeness = matcher.images(seen) @ matcher.captions(text[rows]).T * matcher.log_scale.exp()
        same = (number[rows][:, None] == number[rows][None]).float()
        wanted = same / same.sum(dim=1, keepdim=True)
        loss = functional.cross_entropy(closeness, wanted)
        loss = loss + functional.cross_entropy(closeness.T, wanted)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        schedule.step()
    return matcher.eval()


@torch.no_grad()
def accuracy(matcher: Matcher, img: Tensor, captions: list[str], text: dict[str, Tensor]) -> float:
    """How often the nearest of ten captions is the right one.

    Args:
        matcher: trained.
        img: [N, 3, H, W] images.
        captions: what each should show.
        text: the embedding [D] of every caption there is.
    """
    generator = torch.Generator().manual_seed(0)
    names = list(text)
    place = {name: number for number, name in enumerate(names)}
    told = matcher.captions(torch.stack([text[name] for name in names]))
    seen = torch.cat([matcher.images(part) for part in img.split(256)])
    hits = 0
    for vector, caption in zip(seen, captions, strict=True):
        for _ in range(ROUNDS):
            order = torch.randperm(len(names), generator=generator)
            wrong = order[order != place[caption]][: CHOICES - 1]
            options = torch.cat([torch.tensor([place[caption]]), wrong])
            hits += int((told[options] @ vector).argmax() == 0)
    return hits / (ROUNDS * len(captions))


@click.command()
@click.argument("model", type=str)
@click.option("--google", default=PACKAGE.format("google"), show_default=True)
@click.option("--twitter", default=PACKAGE.format("twitter"), show_default=True)
@click.option("--words", help="The model's word vectors, where they lie elsewhere now.")
@click.option("--steps", default=900, show_default=True, help="Of the matcher's training.")
@click.option("--seeds", default=2, show_default=True, help="Images drawn from each caption.")
@click.option("--json", "as_json", is_flag=True, help="One JSON object on standard output.")
def main(
    model: str, google: str, twitter: str, words: str | None, steps: int, seeds: int, as_json: bool
) -> None:
    """Judge MODEL: an export folder or a repository of the Hub."""
    gan = ganforge.from_pretrained(model)
    changes = {"path": words} if words else {}
    known_img, known = pairs("train", (google, twitter), gan.spec)
    real_img, held_out = pairs("test", (google, twitter), gan.spec)
    names = list(dict.fromkeys([*known, *held_out]))
    text = dict(zip(names, encoder_of(gan.spec.text_encoding, changes).encode(names), strict=True))
    new = {name: text[name] for name in dict.fromkeys(held_out)}
    matcher = train_matcher(
        known_img, torch.stack([text[name] for name in known]), known, gan.spec, steps
    )
    asked = [name for name in new for _ in range(seeds)]
    drawn = gan.generate(
        seeds=list(range(len(asked))),
        text=torch.stack([text[name] for name in asked]),
        batch_size=64,
        output_type="pt",
    )
    result = {
        "captions": len(new),
        "chance": CHANCE,
        "real": accuracy(matcher, real_img, held_out, new),
        "generated": accuracy(matcher, drawn, asked, new),
    }
    if as_json:
        click.echo(json.dumps({"model": Path(model).name, **result}))
        return
    for name, value in result.items():
        click.echo(f"{name:12} {value:.3f}" if isinstance(value, float) else f"{name:12} {value}")


if __name__ == "__main__":
    main()
