"""Tiny extractors, images, shards, generators and translators that the tests of metrics share."""

import io
import types

import torch
from PIL import Image
from torch import Tensor

import ganforge.metrics
from ganforge.config.models import StrictModel
from ganforge.data.shards.clip import pack_clip
from ganforge.data.shards.index import DatasetIndex, FieldSchema
from ganforge.data.shards.writer import EncodedSample, write_stream
from ganforge.interfaces.component import hookimpl
from ganforge.interfaces.generation import GenerateRequest
from ganforge.interfaces.metric import FeatureExtractor, Metric, PairMetric
from ganforge.interfaces.spec import ImageSpec
from ganforge.metrics.requests import MeasuredModel
from ganforge.registry.plugins import Plugin, Registry, empty_registry


class TinyExtractor(FeatureExtractor[StrictModel]):
    """Four numbers of an image's two halves, and three logits made of them."""

    name = "tiny"
    outputs = ("pooled", "logits")
    resize = "none"

    @property
    def sha256(self) -> str:
        return "0" * 64

    def forward(self, img: Tensor) -> dict[str, Tensor]:
        x = img.float().mean(1).div(255)
        top, bottom = x.chunk(2, dim=1)
        halves = torch.stack(
            [top.mean((1, 2)), bottom.mean((1, 2)), top.std((1, 2)), bottom.std((1, 2))], dim=1
        )
        return {"pooled": halves, "logits": halves[:, :3] * 9}


class OtherExtractor(TinyExtractor):
    """The same numbers, ten times larger, without logits."""

    name = "other"
    outputs = ("pooled",)

    @property
    def sha256(self) -> str:
        return "1" * 64

    def forward(self, img: Tensor) -> dict[str, Tensor]:
        return {"pooled": super().forward(img)["pooled"] * 10}


class Gap(PairMetric[StrictModel]):
    """Mean absolute difference in 8-bit values."""

    name = "gap"

    def compare(self, source: Tensor, output: Tensor, target: Tensor) -> dict[str, Tensor]:
        return {"gap": (output - target).abs().flatten(1).mean(1) * 127.5}


def images(count: int, seed: int, channels: int = 1, side: int = 8) -> Tensor:
    """uint8 [count, channels, side, side]: noise round a mean that differs between images."""
    generator = torch.Generator().manual_seed(seed)
    level = torch.rand(count, 1, 1, 1, generator=generator) * 150
    noise = torch.rand(count, channels, side, side, generator=generator) * 100
    return (level + noise).to(torch.uint8)


def png(img: Tensor) -> bytes:
    pixels = img.permute(1, 2, 0).numpy()
    buffer = io.BytesIO()
    Image.fromarray(pixels[..., 0] if pixels.shape[2] == 1 else pixels).save(buffer, "PNG")
    return buffer.getvalue()


def write_shards(folder, img: Tensor, field: str = "image", per_shard: int = 7) -> str:
    return write_streams(folder, {"main": {field: img}}, per_shard)


def member(name: str, value: Tensor) -> tuple[str, bytes]:
    """File name and content of an image [C, H, W] or a clip [T, C, H, W]."""
    if value.ndim == 3:
        return f"{name}.png", png(value)
    return f"{name}.clip", pack_clip([png(frame) for frame in value])


def write_streams(
    folder, streams: dict[str, dict[str, Tensor]], per_shard: int = 7, kinds: dict | None = None
) -> str:
    """Shards of images or clips by stream and field; fields of one stream are of one sample."""
    folder.mkdir(parents=True)
    shards, schema = {}, {}
    for stream, fields in streams.items():
        count = len(next(iter(fields.values())))
        samples = [
            EncodedSample(
                f"{number:05d}", dict(member(name, img[number]) for name, img in fields.items())
            )
            for number in range(count)
        ]
        shards[stream] = write_stream(folder, stream, samples, sorted(fields), per_shard)
        for name, img in fields.items():
            channels, height, width = img.shape[-3:]
            clip = {"is_clip": True, "num_frames": img.shape[1]} if img.ndim == 5 else {}
            schema[name] = FieldSchema(
                kind=(kinds or {}).get(name, "image"),
                stream=stream,
                height=height,
                width=width,
                channels=channels,
                **clip,
            )
    spec = ImageSpec(height, width, channels)
    index = DatasetIndex.build(spec, shards, schema)
    (folder / "index.json").write_text(index.to_json())
    return str(folder)


def fake_generator(channels: int = 1, side: int = 8, **options) -> MeasuredModel:
    """One image in [-1, 1] per seed, whatever the batch."""

    def generate(request: GenerateRequest) -> Tensor:
        rows = [images(1, 10_000 + seed, channels, side) for seed in request.seeds]
        return torch.cat(rows).float() / 127.5 - 1

    spec = ImageSpec(side, side, channels)
    return MeasuredModel(generate, spec, nimg=5000, **options)


def negative_translator(**options) -> MeasuredModel:
    """Maps each image to its negative, in both directions: a function of the source alone."""
    both = ("source_to_target", "target_to_source")
    return MeasuredModel(
        lambda request: -request.source, ImageSpec(8, 8, 1), directions=both, **options
    )


def write_pairs(folder, count: int = 11) -> str:
    """Pairs of images and their negatives, with an error that grows from pair to pair."""
    source = images(count, seed=3).clamp(20, 200)
    error = torch.arange(1, count + 1, dtype=torch.uint8).view(-1, 1, 1, 1)
    return write_streams(folder, {"main": {"source": source, "target": 255 - source + error}})


def write_clips(folder, count: int = 5, num_frames: int = 3) -> str:
    """Clips and their negatives, with an error that grows from clip to clip and frame to frame."""
    source = images(count * num_frames, seed=3).clamp(20, 200).unflatten(0, (count, num_frames))
    error = torch.arange(1, count * num_frames + 1, dtype=torch.uint8)
    frames = 255 - source + error.view(count, num_frames, 1, 1, 1)
    return write_streams(folder, {"main": {"source": source, "frames": frames}}, per_shard=2)


def negative_video_translator(**options) -> MeasuredModel:
    """Maps each clip to its negative."""
    spec = ImageSpec(8, 8, 1, num_frames=3)
    directions = ("source_to_frames",)
    return MeasuredModel(lambda request: -request.source, spec, directions=directions, **options)


def plugin_of(*components) -> types.ModuleType:
    """A plugin module that provides metrics and extractors."""
    metrics = [one for one in components if issubclass(one, Metric)]
    extractors = [one for one in components if issubclass(one, FeatureExtractor)]
    module = types.ModuleType("tiny_plugin")
    module.ganforge_metrics = hookimpl(lambda: metrics)
    module.ganforge_feature_extractors = hookimpl(lambda: extractors)
    return module


def tiny_registry() -> Registry:
    """A registry of ganforge's own metrics and the tiny components."""
    made = empty_registry()
    made.register(ganforge.metrics, Plugin("metrics", "ganforge.metrics", "ganforge", "0"))
    module = plugin_of(TinyExtractor, OtherExtractor, Gap)
    made.register(module, Plugin("tiny", "tiny_plugin", "tiny", "0"))
    return made
