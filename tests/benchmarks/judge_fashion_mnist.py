"""An independent judge of Fashion-MNIST generators: a classifier no training run ever sees.

It is trained on the 60,000 training images, which do not ship with ganforge (Debian package
`dataset-fashion-mnist`), so that a generator trained on the shipped 10,000 images is compared
with images it never saw. Images are 32x32: 28x28 ones get a black border of two pixels. Each is
seen with its mirror image, and the two answers are averaged.

The unit of a Frechet distance is its features' and means nothing by itself. Here it is fixed by a
yardstick that any judge can repeat: 100 training images, 100 times each, are at YARDSTICK from
the 60,000 (mean of ten draws).

    python tests/benchmarks/judge_fashion_mnist.py train --cache judge/
    python tests/benchmarks/judge_fashion_mnist.py score runs/x/export --cache judge/
    python tests/benchmarks/judge_fashion_mnist.py score images.npy --cache judge/
"""

import json
import logging
import math
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import click
import numpy as np
import torch
from ganforge_fashion_mnist.idx import read_idx
from numpy.typing import NDArray
from PIL import Image
from safetensors.torch import load_file, save_file
from torch import Tensor, nn
from torch.nn import functional as F
from torch_fidelity.metric_fid import fid_features_to_statistics, fid_statistics_to_metric

from ganforge.training.precision import has_bf16

log = logging.getLogger("judge")
DATA = Path("/usr/share/datasets/fashion-mnist")
FILES = {"train": "train", "test": "t10k"}
CLASSES = 10
YARDSTICK = 8.2
"""The distance of 100 distinct images, each repeated 100 times; the value is a convention."""


def conv(cin: int, cout: int) -> nn.Sequential:
    return nn.Sequential(
        nn.Conv2d(cin, cout, 3, padding=1, bias=False), nn.BatchNorm2d(cout), nn.ReLU(inplace=True)
    )


class Residual(nn.Module):
    def __init__(self, width: int) -> None:
        super().__init__()
        self.body = nn.Sequential(conv(width, width), conv(width, width))

    def forward(self, x: Tensor) -> Tensor:
        return x + self.body(x)


class Judge(nn.Module):
    """A small residual network: uint8 [N, 1, 32, 32] -> (features [N, 128], logits [N, 10])."""

    def __init__(self) -> None:
        super().__init__()
        self.body = nn.Sequential(
            conv(1, 32), nn.AvgPool2d(2), conv(32, 64), Residual(64), nn.AvgPool2d(2),
            conv(64, 128), Residual(128), nn.AdaptiveAvgPool2d(1), nn.Flatten(),
        )  # fmt: skip
        self.head = nn.Linear(128, CLASSES)

    def forward(self, img: Tensor) -> tuple[Tensor, Tensor]:
        features = self.body(img.to(self.head.weight.dtype) / 127.5 - 1)
        return features.float(), self.head(features).float()


def load_split(folder: Path, split: str) -> tuple[Tensor, Tensor]:
    """Images uint8 [N, 1, 32, 32] and labels int64 [N]."""
    images = read_idx(folder / f"{FILES[split]}-images-idx3-ubyte.gz")
    labels = read_idx(folder / f"{FILES[split]}-labels-idx1-ubyte.gz")
    return as_batch(images), torch.from_numpy(labels.astype(np.int64))


def as_batch(images: NDArray[np.uint8]) -> Tensor:
    """uint8 [N, H, W], [N, H, W, 1 or 3] or [N, 1 or 3, H, W] -> uint8 [N, 1, 32, 32]."""
    img = torch.from_numpy(np.array(images))
    if img.dtype != torch.uint8:
        raise click.ClickException(f"The images are {img.dtype}; the judge takes uint8, 0 to 255.")
    if img.ndim == 3:
        img = img.unsqueeze(1)
    elif img.shape[-1] in (1, 3):
        img = img.movedim(-1, 1)
    if img.shape[1] == 3:
        img = img.float().mean(1, keepdim=True).round().to(torch.uint8)
    if img.shape[-2:] == (28, 28):
        img = F.pad(img, (2, 2, 2, 2))
    if img.shape[1:] != (1, 32, 32):
        raise click.ClickException(
            f"The images are {list(img.shape)}; the judge takes 28x28 or 32x32, gray or RGB."
        )
    return img


def augmented(img: Tensor, generator: torch.Generator) -> Tensor:
    """Each image shifted by up to one pixel either way, and mirrored with probability 1/2."""
    n = img.shape[0]
    shift = torch.randint(0, 3, (2, n, 1), generator=generator)
    mirror = torch.rand(n, 1, generator=generator) < 0.5
    base = torch.arange(32).expand(n, 32)
    columns = torch.where(mirror, base.flip(1), base) + shift[0]
    rows = base + shift[1]
    padded = F.pad(img[:, 0], (1, 1, 1, 1))
    picked = padded[torch.arange(n)[:, None, None], rows[:, :, None], columns[:, None, :]]
    return picked.unsqueeze(1)


@torch.no_grad()
def outputs(judge: nn.Module, img: Tensor) -> tuple[Tensor, Tensor]:
    """Features [N, 128] and logits [N, 10] of uint8 [N, 1, 32, 32], averaged with the mirror's."""
    parts = [judge(half) for chunk in img.split(500) for half in (chunk, chunk.flip(-1))]
    features, logits = (
        torch.cat([(a[i] + b[i]) / 2 for a, b in zip(parts[::2], parts[1::2], strict=True)])
        for i in range(2)
    )
    return features, logits


def train_judge(folder: Path, epochs: int, batch: int = 256, peak: float = 0.15) -> Judge:
    torch.manual_seed(0)
    generator = torch.Generator().manual_seed(0)
    img, label = load_split(folder, "train")
    judge = Judge().to(memory_format=torch.channels_last)
    decay = [p for p in judge.parameters() if p.ndim > 1]
    rest = [p for p in judge.parameters() if p.ndim <= 1]
    groups = [{"params": decay, "weight_decay": 5e-4}, {"params": rest}]
    optimizer = torch.optim.SGD(groups, lr=peak, momentum=0.9, nesterov=True)
    per_epoch = len(img) // batch
    schedule = torch.optim.lr_scheduler.OneCycleLR(
        optimizer, peak, total_steps=epochs * per_epoch, pct_start=0.25
    )
    compiled: Callable[[Tensor], tuple[Tensor, Tensor]] = torch.compile(judge)
    bf16 = has_bf16(torch.device("cpu"))
    began = time.monotonic()
    for epoch in range(epochs):
        order = torch.randperm(len(img), generator=generator)
        total = 0.0
        for chosen in order[: per_epoch * batch].split(batch):
            shown = augmented(img[chosen], generator).contiguous(memory_format=torch.channels_last)
            with torch.autocast("cpu", torch.bfloat16, enabled=bf16):
                _, logits = compiled(shown)
                loss = F.cross_entropy(logits, label[chosen], label_smoothing=0.02)
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
            schedule.step()
            total += loss.item()
        log.info("epoch %d loss %.4f %.0fs", epoch, total / per_epoch, time.monotonic() - began)
    return judge.eval()


def frechet(gen: Tensor, real: Tensor) -> float:
    """Frechet distance of two sets of features [N, D]."""
    stats = [fid_features_to_statistics(f) for f in (gen, real)]
    return float(fid_statistics_to_metric(*stats, verbose=False)["frechet_inception_distance"])


def load_judge(cache: Path) -> Judge:
    if not (cache / "judge.safetensors").exists():
        raise click.ClickException(f"No judge in {cache}. Run `train --cache {cache}` first.")
    judge = Judge()
    judge.load_state_dict(load_file(cache / "judge.safetensors"))
    return judge.eval()


def reference_features(cache: Path) -> dict[str, Tensor]:
    return load_file(cache / "features.safetensors")


def repeated_distance(real: Tensor, draws: int = 10) -> float:
    """Mean distance, in raw units, of 100 rows of `real` [N, D], repeated 100 times, to `real`."""
    generator = torch.Generator().manual_seed(0)
    chosen = [torch.randperm(len(real), generator=generator)[:100] for _ in range(draws)]
    return sum(frechet(real[c].repeat(100, 1), real) for c in chosen) / draws


def write_reference(judge: Judge, cache: Path, folder: Path) -> dict[str, float]:
    """Keep the features of both splits and the judge's own figures in `cache`."""
    real: dict[str, Tensor] = {}
    summary: dict[str, float] = {}
    for split in FILES:
        img, label = load_split(folder, split)
        real[split], logits = outputs(judge, img)
        real[f"{split}_label"] = label
        summary[f"{split}_accuracy"] = (logits.argmax(1) == label).float().mean().item()
    unit = YARDSTICK / repeated_distance(real["train"])
    real["unit"] = torch.tensor(unit, dtype=torch.float64)
    summary["unit"] = unit
    summary["test_vs_train"] = unit * frechet(real["test"], real["train"])
    half = real["train"][torch.randperm(60_000, generator=torch.Generator().manual_seed(0))]
    summary["train_halves"] = unit * frechet(half[:30_000], half[30_000:])
    small = load_split(folder, "test")[0].float()
    resampled = F.interpolate(small[:, :, 2:-2, 2:-2], size=32, mode="bilinear").round()
    summary["test_resampled_not_padded_vs_train"] = unit * frechet(
        outputs(judge, resampled.to(torch.uint8))[0], real["train"]
    )
    save_file(real, cache / "features.safetensors")
    (cache / "judge.json").write_text(json.dumps(summary, indent=2))
    return summary


def load_images(path: Path) -> NDArray[np.uint8]:
    """uint8 images of a .npy or .npz file (key "images"), or of a folder of PNGs."""
    if path.suffix == ".npy":
        return np.load(path)
    if path.suffix == ".npz":
        return np.load(path)["images"]
    files = sorted(path.rglob("*.png"))
    if not files:
        raise click.ClickException(f"{path} has neither a model nor PNG files.")
    return np.stack([np.asarray(Image.open(file).convert("L")) for file in files])


def generate(
    path: Path, count: int, seed: int, truncation: float | None
) -> tuple[NDArray[np.uint8], list[int] | None]:
    """Images of an export folder or Hub repository; class i % 10 is asked for if it takes one."""
    import ganforge

    model = ganforge.from_pretrained(str(path))
    asked = [i % CLASSES for i in range(count)] if model.class_names else None
    images = []
    for start in range(0, count, 500):
        stop = min(start + 500, count)
        found = model.generate(
            seeds=list(range(seed + start, seed + stop)),
            labels=asked[start:stop] if asked else None,
            truncation=truncation,
        )
        images += [np.asarray(image.convert("L")) for image in found]
    return np.stack(images), asked


def report(judge: Judge, cache: Path, img: Tensor, asked: list[int] | None) -> dict[str, Any]:
    """Every number the judge gives for images uint8 [N, 1, 32, 32]."""
    features, logits = outputs(judge, img)
    real = reference_features(cache)
    unit = real["unit"].item()
    confidence, found = logits.softmax(1).max(1)
    counts = found.bincount(minlength=CLASSES)
    marginal = counts / counts.sum()
    entropy = -(marginal * marginal.clamp_min(1e-12).log()).sum().item()
    out: dict[str, Any] = {
        "num_images": len(img),
        "frechet_vs_60k_train": unit * frechet(features, real["train"]),
        "frechet_vs_10k_test": unit * frechet(features, real["test"]),
        "frechet_per_class_vs_60k": [
            unit * frechet(features[found == c], real["train"][real["train_label"] == c])
            if counts[c] > 1 else None
            for c in range(CLASSES)
        ],
        "histogram": counts.tolist(),
        "effective_classes": math.exp(entropy),
        "confidence": confidence.mean().item(),
        "confidence_per_class": [
            confidence[found == c].mean().item() if counts[c] else None for c in range(CLASSES)
        ],
        "pixel_std_over_images": img.float().std(0).mean().item(),
        "distinct_images": len(torch.unique(img.flatten(1), dim=0)),
    }  # fmt: skip
    if asked is not None:
        hit = found == torch.tensor(asked)
        out["asked_class_accuracy"] = hit.float().mean().item()
        out["asked_class_accuracy_per_class"] = [
            hit[torch.tensor(asked) == c].float().mean().item() for c in range(CLASSES)
        ]
    return out


@click.group()
@click.option("--threads", default=2, show_default=True)
def main(threads: int) -> None:
    """Train the judge once, then score generators with it."""
    torch.set_num_threads(threads)
    logging.basicConfig(level=logging.INFO, format="%(message)s", stream=sys.stderr)


@main.command()
@click.option("--cache", type=click.Path(path_type=Path), required=True)
@click.option("--data", type=click.Path(path_type=Path), default=DATA, show_default=True)
@click.option("--epochs", default=8, show_default=True)
def train(cache: Path, data: Path, epochs: int) -> None:
    """Train the judge on the 60,000 training images and keep it, with its features, in CACHE."""
    judge = train_judge(data, epochs)
    cache.mkdir(parents=True, exist_ok=True)
    state = {name: value.contiguous() for name, value in judge.state_dict().items()}
    save_file(state, cache / "judge.safetensors")
    click.echo(json.dumps(write_reference(judge, cache, data), indent=2))


@main.command()
@click.option("--cache", type=click.Path(path_type=Path), required=True)
@click.option("--data", type=click.Path(path_type=Path), default=DATA, show_default=True)
def reference(cache: Path, data: Path) -> None:
    """Compute the features of the real images anew with the judge in CACHE."""
    click.echo(json.dumps(write_reference(load_judge(cache), cache, data), indent=2))


@main.command()
@click.argument("path", type=click.Path(path_type=Path))
@click.option("--cache", type=click.Path(path_type=Path), required=True)
@click.option("--num-images", default=10_000, show_default=True, help="For a model.")
@click.option("--seed", default=0, show_default=True, help="For a model: image i has seed + i.")
@click.option("--labels", type=click.Path(path_type=Path), help=".npy of the classes asked for.")
@click.option("--truncation", type=float, help="For a model that has it.")
def score(
    path: Path,
    cache: Path,
    num_images: int,
    seed: int,
    labels: Path | None,
    truncation: float | None,
) -> None:
    """Score a model folder, a .npy/.npz file or a folder of PNGs; prints JSON."""
    judge = load_judge(cache)
    if (path / "config.json").exists():
        images, asked = generate(path, num_images, seed, truncation)
    else:
        images, asked = load_images(path), None
    if labels is not None:
        asked = np.load(labels).tolist()
    click.echo(json.dumps(report(judge, cache, as_batch(images), asked), indent=2))


if __name__ == "__main__":
    main()
