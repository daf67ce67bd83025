"""A tiny extractor, images, shards and generator that the tests of metrics share."""

import io
from collections.abc import Callable, Sequence

import torch
from PIL import Image
from torch import Tensor

from ganforge.config.models import StrictModel
from ganforge.data.shards.index import DatasetIndex, FieldSchema
from ganforge.data.shards.writer import EncodedSample, write_stream
from ganforge.interfaces.metric import FeatureExtractor
from ganforge.interfaces.spec import ImageSpec


class TinyExtractor(FeatureExtractor[StrictModel]):
    """Four numbers of an image's two halves, and three logits made of them."""

    name = "tiny"
    layers = {"fid": "halves", "kid": "halves", "precision_recall": "halves", "is": "logits"}
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
        return {"halves": halves, "logits": halves[:, :3] * 9}


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
    folder.mkdir(parents=True)
    samples = [
        EncodedSample(f"{number:05d}", {f"{field}.png": png(one)}) for number, one in enumerate(img)
    ]
    shards = write_stream(folder, "main", samples, [field], per_shard)
    _, channels, height, width = img.shape
    schema = FieldSchema(kind="image", height=height, width=width, channels=channels)
    index = DatasetIndex.build(
        ImageSpec(height, width, channels), {"main": shards}, {field: schema}
    )
    (folder / "index.json").write_text(index.to_json())
    return str(folder)


def fake_generator(channels: int = 1, side: int = 8) -> Callable[[Sequence[int]], Tensor]:
    """One image in [-1, 1] per seed, whatever the batch."""

    def generate(seeds: Sequence[int]) -> Tensor:
        rows = [images(1, 10_000 + seed, channels, side) for seed in seeds]
        return torch.cat(rows).float() / 127.5 - 1

    return generate
