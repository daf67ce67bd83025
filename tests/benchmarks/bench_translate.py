"""`ganforge translate` of a folder, against a loop that reads, translates and writes one by one.

Both translate the same JPEG files by the same CycleGAN of random weights into PNG files, in one
process, in turns. The loop is the usual one: Pillow, torch's own layers, one image a forward, eager
float32.

    python tests/benchmarks/bench_translate.py [--size 64] [--images 500] [--width 16] [--json]
"""

import contextlib
import io
import shutil
import statistics
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import click
import numpy as np
import torch
from loops import with_torch_layers
from PIL import Image
from torch import nn
from turns import show

from ganforge.cli import main as ganforge
from ganforge.hub.card import CardInfo
from ganforge.hub.export import export_model
from ganforge.interfaces.architecture import Architecture
from ganforge.interfaces.spec import ImageSpec
from ganforge.registry.plugins import get_registry


def write_photos(folder: Path, count: int, size: int) -> None:
    """Smooth noise, which compresses about as well as photographs."""
    folder.mkdir()
    random = np.random.default_rng(0)
    for number in range(count):
        coarse = random.integers(0, 256, (size // 8, size // 8, 3), dtype=np.uint8)
        image = Image.fromarray(coarse).resize((size, size), Image.Resampling.BICUBIC)
        image.save(folder / f"{number:05d}.jpg", quality=95)


def export_translator(folder: Path, size: int, width: int, blocks: int) -> nn.Module:
    """Export a CycleGAN of random weights; returns its first translator, with torch's layers."""
    found = get_registry().find(Architecture, "cyclegan")
    config = found.Config(generator_width=width, num_blocks=blocks, upsampling="resize")
    architecture = found(config, ImageSpec(size, size, 3, source_channels=3))
    torch.manual_seed(0)
    networks = architecture.networks()
    export_model(
        folder, architecture=architecture, networks=networks, nimg=0, card=CardInfo(name="bench")
    )
    return with_torch_layers(networks["generator_target"]).eval()


@torch.no_grad()
def one_by_one(network: nn.Module, photos: Path, out: Path, device: torch.device) -> None:
    """The usual loop."""
    out.mkdir()
    for path in sorted(photos.iterdir()):
        pixels = np.asarray(Image.open(path).convert("RGB"))
        img = torch.from_numpy(pixels).to(device).permute(2, 0, 1)[None].float() / 127.5 - 1
        made = network(img)[0].add(1).mul(127.5).round().clamp(0, 255).byte()
        Image.fromarray(made.permute(1, 2, 0).cpu().numpy()).save(out / f"{path.stem}.png")


def timed(run: Callable[[], object]) -> float:
    """Seconds that it takes."""
    start = time.perf_counter()
    run()
    return time.perf_counter() - start


@click.command()
@click.option("--size", default=64, show_default=True, help="Side of the images.")
@click.option("--images", default=500, show_default=True)
@click.option("--width", default=16, show_default=True, help="Channels of the translator.")
@click.option("--blocks", default=6, show_default=True)
@click.option("--turns", default=3, show_default=True)
@click.option("--json", "as_json", is_flag=True)
def main(size: int, images: int, width: int, blocks: int, turns: int, as_json: bool) -> None:
    """Print images per second of both, and their ratio."""
    device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        write_photos(folder / "photos", images, size)
        network = export_translator(folder / "model", size, width, blocks).to(device)
        command = ["translate", str(folder / "model"), str(folder / "photos"), "--out"]

        def translate() -> None:
            with contextlib.redirect_stdout(io.StringIO()):
                ganforge([*command, str(folder / "ours")], standalone_mode=False)

        seconds: dict[str, list[float]] = {"loop": [], "ganforge": []}
        for _ in range(turns + 1):
            for kind, run in (
                ("loop", lambda: one_by_one(network, folder / "photos", folder / "out", device)),
                ("ganforge", translate),
            ):
                for used in ("out", "ours"):
                    shutil.rmtree(folder / used, ignore_errors=True)
                seconds[kind].append(timed(run))
        rates = {k: images / statistics.median(s[1:]) for k, s in seconds.items()}  # first: warm-up
    show(
        {
            "size": size,
            "device": str(device),
            **{f"{kind}_img_per_sec": rate for kind, rate in rates.items()},
            "ganforge_over_loop": rates["ganforge"] / rates["loop"],
        },
        as_json,
    )


if __name__ == "__main__":
    main()
