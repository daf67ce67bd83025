"""A video translator on clips that it was not trained on, with its past and without.

"Without its past" is the same model, for which each frame is the first one of a clip. "Without
warping" is vid2vid's generator with its past, but without the past's pixels: its raw frames. Both
get the same sources. Lower is better except for PSNR; the real clip has the flicker ratio 1.

    python tests/benchmarks/judge_video.py runs/vid2vid-bunny --animation a.gif --sheet a.png
"""

import json
from collections.abc import Callable
from pathlib import Path

import click
import torch
from ganforge_video.clips import Past, unroll
from ganforge_video.metrics import Flicker, WarpingError
from torch import Tensor

import ganforge
from ganforge.api import ComponentOptions, GenerateRequest
from ganforge.config.load import load_pipeline
from ganforge.config.models import DataConfig, StrictModel
from ganforge.data.loader import RealImages
from ganforge.imaging.animation import write_animation
from ganforge.imaging.images import convert_channels, from_uint8, to_pil, to_uint8
from ganforge.inference.pretrained import PretrainedGan
from ganforge.metrics.pair_scores import Psnr, Ssim
from ganforge.training.engine.make_batch import prepare_field

SCALE = 2
"""Enlargement of the animation."""
COLUMNS = 8
"""Frames of the sheet."""
FRAMES_PER_SEC = 12.5
METRICS = (WarpingError(ComponentOptions()), Flicker(ComponentOptions()))


@click.command(help=__doc__)
@click.argument("run", type=click.Path(exists=True, path_type=Path))
@click.option("--animation", type=click.Path(path_type=Path), help="Write source | output | real.")
@click.option("--sheet", type=click.Path(path_type=Path), help="The same, some frames in a row.")
@torch.no_grad()
def main(run: Path, animation: Path | None, sheet: Path | None) -> None:
    """Print the numbers of all ways to translate the validation clips of a run."""
    model = ganforge.from_pretrained(str(run))
    source, target = validation_clips(run, model)
    ways: dict[str, Callable[[PretrainedGan, Tensor], Tensor]] = {
        "with its past": with_past,
        "without its past": without_past,
    }
    if model.info.architecture == "vid2vid":
        ways["without warping"] = without_warping
    outputs = {name: from_uint8(to_uint8(way(model, source))) for name, way in ways.items()}
    for name, output in outputs.items():
        click.echo(json.dumps({"clip": name, **numbers(source, output, target)}))
    click.echo(json.dumps({"clip": "real", **numbers(source, target, target)}))
    clips = [in_color(clip) for clip in (source, outputs["with its past"], target)]
    if animation:
        frames = torch.cat([torch.cat(row, -1) for row in zip(*clips, strict=True)], -2)
        write_animation(to_pil(to_uint8(frames)), animation, FRAMES_PER_SEC, SCALE)
    if sheet:
        every = torch.linspace(0, source.shape[1] - 1, COLUMNS).round().long()
        rows = [torch.cat(list(clip[0, every]), -1) for clip in clips]
        to_pil(torch.cat(rows, -2)[None])[0].save(sheet, optimize=True)


def validation_clips(run: Path, model: PretrainedGan) -> tuple[Tensor, Tensor]:
    """Sources [N, T, S, H, W] and real frames [N, T, C, H, W] of all validation clips, whole."""
    config = load_pipeline(run / "config.yaml")
    whole: DataConfig = config.data.model_copy(update={"clip": None})
    images = RealImages(whole, str(run / "validation"), field="source")
    found = images.samples(range(len(images)), ["source", "frames"])
    device = torch.device("cpu")
    source, frames = (
        prepare_field(name, found[name], model.spec, device) for name in ("source", "frames")
    )
    return source, frames


def with_past(model: PretrainedGan, source: Tensor) -> Tensor:
    """As `translate_video` does it."""
    request = GenerateRequest(range(len(source)), source=source)
    return model.architecture.generate(model.networks, request)


def without_past(model: PretrainedGan, source: Tensor) -> Tensor:
    """Each frame as the first one of a clip."""
    return torch.cat([with_past(model, source[:, n : n + 1]) for n in range(source.shape[1])], 1)


def without_warping(model: PretrainedGan, source: Tensor) -> Tensor:
    """The raw frames of the generator, while its past is what it would be with warping."""
    first = with_past(model, source[:, :1])
    past, count = Past(source[:, :1], first), model.architecture.config.past_frames
    made = unroll(model.networks["generator"], source[:, 1:], past, count)
    return torch.cat([first, made.raw], 1)


def numbers(source: Tensor, output: Tensor, target: Tensor) -> dict[str, float]:
    """Metrics of clips and of their frames."""
    found: dict[str, float] = {}
    for metric in METRICS:
        found |= metric.compute(metric.compare(source, output, target))
    frames = [clip.flatten(0, 1) for clip in (source, output, target)]
    for pairs in (Psnr(StrictModel()), Ssim(Ssim.Config())):
        found |= pairs.compute(pairs.compare(*frames))
    return {name: round(value, 3) for name, value in found.items()}


def in_color(clips: Tensor) -> Tensor:
    """Clips [N, T, C, H, W] in color."""
    return torch.stack([convert_channels(clip, 3) for clip in clips])


if __name__ == "__main__":
    main()
