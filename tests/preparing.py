"""What the tests of `prepare` share: images, settings, and what was stored."""

from pathlib import Path

import numpy as np
from PIL import Image

from ganforge.config.models import DataConfig
from ganforge.data.loader import RealImages
from ganforge.data.prepare.source_to_shards import prepare

RNG = np.random.default_rng(0)


def noise(*shape):
    return RNG.integers(0, 256, shape, dtype=np.uint8)


def save(path, pixels, **options):
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(pixels).save(path, **options)


def config(path=None, name="folder", **options):
    source = {"name": name} | ({"path": path} if path else {}) | options.pop("source", {})
    return DataConfig(source=source, samples_per_shard=5, **options)


def run(settings, out, **options):
    return prepare(settings, Path(out), workers=0, progress=False, **options)


def stored(location, field="image"):
    real = RealImages(DataConfig(), str(location), field=field)
    return real.batch(range(len(real)))
