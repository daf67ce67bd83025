"""Small data sets for all tests of the data layer."""

import contextlib
import io
import itertools
import types
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from preparing import save

from ganforge.config.models import DataConfig, StrictModel
from ganforge.data.loader import SlotLoader
from ganforge.data.shards.index import DatasetIndex, FieldSchema, load_index
from ganforge.data.shards.writer import EncodedSample, write_stream
from ganforge.interfaces.derivation import Derivation
from ganforge.interfaces.source import Source
from ganforge.interfaces.spec import ImageSpec
from ganforge.registry.plugins import Plugin, get_registry


def file_bytes(pixels, extension="png", **options):
    """An image file of these pixels."""
    buffer = io.BytesIO()
    kinds = {"jpg": "JPEG", "tif": "TIFF"}
    img = pixels if isinstance(pixels, Image.Image) else Image.fromarray(pixels)
    img.save(buffer, kinds.get(extension, extension.upper()), **options)
    return buffer.getvalue()


def numbered_image(number, size=8):
    """An RGB image that tells its number and is not its own mirror image."""
    pixels = np.zeros((size, size, 3), dtype=np.uint8)
    pixels[..., 0] = number % 256
    pixels[..., 1] = number // 256
    pixels[:, : size // 2, 2] = 255
    return pixels


def number_of(batch):
    """Numbers of a batch [n, 3, H, W] of numbered images."""
    return (batch[:, 0, 0, 0].int() + 256 * batch[:, 1, 0, 0].int()).tolist()


def write_dataset(folder, count=20, per_shard=8, classes=4, size=8, extension="png"):
    """Shards of numbered images with labels number % classes, in order, and their index."""
    folder = Path(folder)
    folder.mkdir(parents=True, exist_ok=True)

    def sample(number):
        members = {f"image.{extension}": file_bytes(numbered_image(number, size), extension)}
        if classes:
            members["label.cls"] = str(number % classes).encode()
        return EncodedSample(f"{number:05d}", members)

    schema = {"image": FieldSchema(kind="image", height=size, width=size, channels=3)}
    if classes:
        schema["label"] = FieldSchema(kind="label", size=classes)
    shards = write_stream(folder, "main", map(sample, range(count)), sorted(schema), per_shard)
    names = tuple(f"class{n}" for n in range(classes))
    index = DatasetIndex.build(
        ImageSpec(size, size, 3, class_names=names), {"main": shards}, schema
    )
    (folder / "index.json").write_text(index.to_json())
    return str(folder)


def write_custom(folder, members, schema, spec=None):
    """A data set of one stream with these members, whatever the schema says."""
    folder.mkdir(exist_ok=True)
    samples = [EncodedSample(f"{n:03d}", m) for n, m in enumerate(members)]
    shards = write_stream(folder, "main", samples, sorted(schema), 100)
    index = DatasetIndex.build(spec or ImageSpec(8, 8, 3), {"main": shards}, schema)
    (folder / "index.json").write_text(index.to_json())
    return str(folder)


def npy_bytes(values, dtype=np.float32):
    """An .npy file of these numbers."""
    buffer = io.BytesIO()
    np.save(buffer, np.asarray(values, dtype=dtype))
    return buffer.getvalue()


class SeedShown(Derivation[StrictModel]):
    """Two channels: the mean of the image, and a gray that tells seed and frame."""

    name = "seed_shown"

    def channels(self, channels):
        return 2

    def derive(self, img, seed, frame=0):
        mean = img.mean(axis=2)
        return np.stack([mean, np.full_like(mean, (seed % 50 + frame) / 255)], axis=2)


@pytest.fixture
def seed_shown(monkeypatch):
    """The derivation `seed_shown`, known to the registry."""
    plugin = Plugin("seed_shown", "tests", "tests", "1")
    known = get_registry()._of_kind(Derivation.kind)
    monkeypatch.setitem(known, SeedShown.name, (SeedShown, plugin))
    return SeedShown


def damage(location, number, text=b"\xff" * 8):
    """Overwrite part of the image of a sample that `write_dataset` wrote."""
    path = Path(location) / f"main-{number // 8:06d}.tar"
    data = bytearray(path.read_bytes())
    begin = data.index(f"{number:05d}.image.png".encode()) + 512 + 40
    data[begin : begin + len(text)] = text
    path.write_bytes(data)


def rewrite_index(location, **changes):
    """Change fields of an index and sign it again."""
    index = load_index(location).model_copy(update=changes)
    index = index.model_copy(update={"digest": index.content_digest()})
    (Path(location) / "index.json").write_text(index.to_json())


@pytest.fixture
def helpers():
    """The functions of this file, for tests that need several."""
    return types.SimpleNamespace(
        file_bytes=file_bytes,
        numbered_image=numbered_image,
        number_of=number_of,
        write_dataset=write_dataset,
        write_custom=write_custom,
        npy_bytes=npy_bytes,
        damage=damage,
        rewrite_index=rewrite_index,
    )


@pytest.fixture
def dataset(tmp_path):
    """20 labelled 8 x 8 images in 3 shards."""
    return write_dataset(tmp_path / "shards")


@pytest.fixture
def slot_loader():
    """Opens a `SlotLoader` of one slot without workers, unless told otherwise; closes it."""
    with contextlib.ExitStack() as opened:

        def open_loader(location, config=None, **options):
            settings = {
                "fields": ["image"],
                "seed": 0,
                "num_slots": 1,
                "local_slots": range(options.get("num_slots", 1)),
                "micro_batch": 2,
            } | options
            loader = SlotLoader(config or DataConfig(workers=0), str(location), **settings)
            opened.callback(loader.close)
            return loader

        yield open_loader


@pytest.fixture
def load(slot_loader):
    """The first steps of a `slot_loader`."""

    def first_steps(location, steps=1, config=None, **options):
        loader = slot_loader(location, config, **options)
        steps = list(itertools.islice(iter(loader), steps))
        loader.close()
        return steps

    return first_steps


@pytest.fixture
def source():
    """Builds a source by name, as a pipeline file does."""

    def build(name, **options):
        return get_registry().build(Source, name, options, "data.source")

    return build


@pytest.fixture
def paint():
    """Writes an image file whose red is a number."""

    def write(path, value=0, size=(4, 4)):
        path.parent.mkdir(parents=True, exist_ok=True)
        Image.new("RGB", size, (value, 0, 0)).save(path)
        return path

    return write


@pytest.fixture
def write_video():
    """Writes a video of 25 frames per second whose gray value rises by 2 with each frame.

    A white corner at the top left tells which side is up.
    """
    av = pytest.importorskip("av")

    def write(path, num_frames, codec="libx264", pixels="yuv420p"):
        path.parent.mkdir(parents=True, exist_ok=True)
        with av.open(str(path), "w") as container:
            stream = container.add_stream(codec, rate=25)
            stream.width, stream.height, stream.pix_fmt, stream.gop_size = 48, 32, pixels, 12
            stream.options = {"crf": "1", "bf": "3"} if codec == "libx264" else {}
            stream.bit_rate = 4_000_000
            for number in range(num_frames):
                img = np.full((32, 48), 2 * number, np.uint8)
                img[:8, :16] = 255
                frame = av.VideoFrame.from_ndarray(img, format="gray")
                container.mux(stream.encode(frame))
            container.mux(stream.encode())
        return path

    return write


@pytest.fixture
def values():
    """The gray values of the frames of a video."""
    return lambda frames: [int(frame[-1, -1, 0]) for frame in frames]


@pytest.fixture
def photos(tmp_path, helpers):
    """Two classes of six numbered 8 x 8 images."""
    for number in range(12):
        save(
            tmp_path / "photos" / "ab"[number // 6] / f"{number}.png",
            helpers.numbered_image(number),
        )
    return str(tmp_path / "photos")
