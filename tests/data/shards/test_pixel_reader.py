"""Images, label maps and clips as they are stored, cropped, scaled and mirrored."""

import os

import numpy as np
import pytest
import torch

from ganforge.config.models import DataConfig
from ganforge.data.loader import RealImages
from ganforge.data.shards.clip import pack_clip
from ganforge.data.shards.index import FieldSchema, load_index
from ganforge.data.shards.member import Member
from ganforge.errors import ShardError
from ganforge.imaging.codec import encode_png
from ganforge.interfaces.spec import ImageSpec

IMAGE = FieldSchema(kind="image", height=8, width=8, channels=3)


@pytest.mark.parametrize("extension", ["png", "jpg"])
@pytest.mark.parametrize(
    ("shape", "text"),
    [((8, 9, 3), "is 8 x 9 x 3"), ((8, 8), "is 8 x 8 x 1")],
)
def test_reader_of_an_image_unlike_the_index_says_both(
    tmp_path, helpers, extension, shape, text, load
):
    data = helpers.file_bytes(np.zeros(shape, np.uint8), extension)
    location = helpers.write_custom(
        tmp_path / "s", [{f"image.{extension}": data}], {"image": IMAGE}
    )
    with pytest.raises(ShardError, match=f"Sample '000' .*'image' {text}.*says 8 x 8 x 3 with 8"):
        load(location, 1, fields=["image"])


@pytest.mark.parametrize("extension", ["png", "jpg"])
@pytest.mark.parametrize("keep", [10, 0.6])
def test_reader_of_a_truncated_image_names_it(tmp_path, helpers, extension, keep, load):
    pixels = np.random.default_rng(0).integers(0, 255, (8, 8, 3), dtype=np.uint8)
    data = helpers.file_bytes(pixels, extension)
    cut = data[: keep if keep > 1 else int(len(data) * keep)]
    location = helpers.write_custom(tmp_path / "s", [{f"image.{extension}": cut}], {"image": IMAGE})
    with pytest.raises(
        ShardError, match=r"Sample '000' .*'image' (is a (damaged JPEG|PNG cut)|cannot be decoded)"
    ):
        load(location, 1, fields=["image"])


def test_reader_of_bytes_that_are_no_image_says_so(tmp_path, helpers, load):
    location = helpers.write_custom(
        tmp_path / "s", [{"image.png": b"hello world"}], {"image": IMAGE}
    )
    with pytest.raises(ShardError, match="is neither PNG nor JPEG"):
        load(location, 1, fields=["image"])


@pytest.mark.parametrize("channels", [1, 3])
def test_reader_gives_16_bit_images_as_int32(tmp_path, helpers, channels, load):
    pixels = np.random.default_rng(0).integers(0, 65536, (8, 8, channels), dtype=np.uint16)
    schema = {
        "image": FieldSchema(
            kind="image", height=8, width=8, channels=channels, bit_depth=16, max_value=65535
        )
    }
    location = helpers.write_custom(tmp_path / "s", [{"image.png": encode_png(pixels)}], schema)
    image = load(location, 1, fields=["image"])[0][0]["image"]
    assert image.dtype == torch.int32
    np.testing.assert_array_equal(image[0].permute(1, 2, 0), pixels)
    real = RealImages(DataConfig(), location)[0]
    assert real.dtype == torch.uint8
    np.testing.assert_array_equal(real.permute(1, 2, 0), np.rint(pixels / 257).astype(np.uint8))


def test_reader_gives_frames_and_flips_a_sequence_as_one(tmp_path, helpers, load):
    clip = pack_clip([helpers.file_bytes(helpers.numbered_image(n)) for n in range(3)])
    schema = FieldSchema(kind="image", is_clip=True, height=8, width=8, channels=3, num_frames=3)
    location = helpers.write_custom(tmp_path / "s", [{"frames.clip": clip}], {"frames": schema})
    config = DataConfig(workers=0, flip=True)
    options = {"fields": ["frames"], "micro_batch": 8}
    batch = load(location, 1, config=config, **options)[0][0]["frames"]
    assert batch.shape == (8, 3, 3, 8, 8)
    assert batch[0, :, 0, 0, 0].tolist() == [0, 1, 2]
    left = (batch[:, :, 2, 0, 0] == 255).tolist()
    assert all(len(set(sample)) == 1 for sample in left)
    assert {sample[0] for sample in left} == {True, False}


def grid(height=20, width=24):
    """An RGB image whose pixels tell their row and column."""
    rows, columns = np.mgrid[:height, :width].astype(np.uint8)
    return np.stack([rows, columns, 255 - rows], axis=2)


CROPPED = {"resolution": [8, 6], "crop": {"from": [20, 24]}, "workers": 0}
GRID = FieldSchema(kind="image", height=20, width=24, channels=3)
IDS = FieldSchema(kind="labels", height=20, width=24, channels=1, bit_depth=16, size=3)
CLIP = FieldSchema(kind="image", is_clip=True, height=20, width=24, channels=3, num_frames=5)
SPEC = ImageSpec(20, 24, 3)


def id_map():
    return (1000 + 100 * grid()[..., :1].astype(np.uint16)) + grid()[..., 1:2]


def write_pair(folder, helpers, extension="png"):
    members = {
        f"image.{extension}": helpers.file_bytes(grid(), extension),
        "map.png": encode_png(id_map()),
        "frames.clip": pack_clip([helpers.file_bytes(grid() + 40 * n) for n in range(5)]),
    }
    schema = {"image": GRID, "map": IDS, "frames": CLIP}
    return helpers.write_custom(folder, [members], schema, SPEC)


def test_reader_of_a_crop_shows_the_same_pixels_in_all_fields_and_frames(tmp_path, helpers, load):
    location = write_pair(tmp_path / "s", helpers)
    options = {"fields": ["image", "map", "frames"], "micro_batch": 64}
    batch = load(location, config=DataConfig(**CROPPED, flip=True), **options)[0][0]
    assert batch["image"].shape == (64, 3, 8, 6)
    assert batch["frames"].shape == (64, 5, 3, 8, 6)
    assert batch["map"].shape == (64, 1, 8, 6) and batch["map"].dtype == torch.int32
    img = batch["image"].int()
    assert torch.equal(batch["map"][:, 0], 1000 + 100 * img[:, 0] + img[:, 1])
    for number in range(5):
        assert torch.equal(batch["frames"][:, number, :2], batch["image"][:, :2] + 40 * number)
    corners = {tuple(sample) for sample in img[:, :2, 0, 0].tolist()}
    assert len(corners) > 40
    mirrored = img[:, 1, 0, 0] > img[:, 1, 0, 1]
    assert 0.2 < mirrored.float().mean() < 0.8
    for sample, is_mirrored in zip(img, mirrored, strict=True):
        sample = sample.flip(-1) if is_mirrored else sample
        top, left = sample[:2, 0, 0].tolist()
        expected = torch.from_numpy(grid()[top : top + 8, left : left + 6]).permute(2, 0, 1)
        assert torch.equal(sample, expected.int())


@pytest.mark.parametrize("extension", ["png", "jpg"])
def test_reader_of_a_crop_equals_the_crop_of_the_whole(tmp_path, helpers, extension, load):
    location = write_pair(tmp_path / "s", helpers, extension)
    whole = load(location, config=DataConfig(workers=0), micro_batch=4)[0][0]["image"]
    real = RealImages(DataConfig(**CROPPED), location)
    assert real.size == (8, 6)
    assert torch.equal(real[0], whole[0, :, 6:14, 9:15])


def test_reader_of_a_scaled_crop_enlarges_images_and_keeps_ids(tmp_path, helpers, load):
    location = write_pair(tmp_path / "s", helpers)
    config = CROPPED | {"crop": {"from": [20, 24], "scale": [1, 4]}}
    options = {"fields": ["image", "map"], "micro_batch": 64}
    batch = load(location, config=DataConfig(**config), **options)[0][0]
    ids = batch["map"][:, 0] - 1000
    assert set(batch["map"].unique().tolist()) <= set(id_map().ravel().tolist())
    # The image is linear in row and column, so that scaling it gives the middle of each pixel.
    rows, columns = batch["image"][:, 0].int(), batch["image"][:, 1].int()
    assert (rows - ids // 100).abs().max() <= 1
    assert (columns - ids % 100).abs().max() <= 1
    heights = ids[:, -1, 0] // 100 - ids[:, 0, 0] // 100
    assert heights.min() < 3 and heights.max() == 7


@pytest.mark.parametrize("max_value", [65535, 4095])
def test_reader_of_scaled_16_bit_images_stays_within_black_and_white(
    tmp_path, helpers, max_value, load
):
    pixels = np.random.default_rng(0).choice([0, max_value], (20, 24, 1)).astype(np.uint16)
    schema = GRID.model_copy(update={"channels": 1, "bit_depth": 16, "max_value": max_value})
    location = helpers.write_custom(
        tmp_path / "s", [{"image.png": encode_png(pixels)}], {"image": schema}, SPEC
    )
    config = CROPPED | {"crop": {"from": [20, 24], "scale": [1.5, 2]}}
    image = load(location, config=DataConfig(**config), micro_batch=8)[0][0]["image"]
    assert (image.min(), image.max()) == (0, 65535)


@pytest.mark.parametrize("depth", [np.uint8, np.uint16])
@pytest.mark.parametrize("channels", [2, 5, 16])
def test_reader_gives_images_of_many_channels(tmp_path, helpers, channels, depth, load):
    rng = np.random.default_rng(0)
    pixels = rng.integers(0, np.iinfo(depth).max, (20, 24, channels), dtype=depth)
    stacked = np.ascontiguousarray(pixels.transpose(2, 0, 1)).reshape(-1, 24, 1)
    schema = GRID.model_copy(
        update={
            "channels": channels,
            "bit_depth": 8 * np.dtype(depth).itemsize,
            "max_value": np.iinfo(depth).max,
        }
    )
    location = helpers.write_custom(
        tmp_path / "s", [{"image.png": encode_png(stacked)}], {"image": schema}, SPEC
    )
    image = load(location, micro_batch=1)[0][0]["image"]
    np.testing.assert_array_equal(image[0].permute(1, 2, 0), pixels)


def test_reader_of_a_label_map_that_is_a_jpeg_is_refused(tmp_path, helpers, load):
    data = helpers.file_bytes(grid()[..., 0], "jpg")
    schema = {"map": IDS.model_copy(update={"bit_depth": 8})}
    location = helpers.write_custom(tmp_path / "s", [{"map.jpg": data}], schema, SPEC)
    with pytest.raises(ShardError, match="'map' is a JPEG, which does not keep the ids"):
        load(location, fields=["map"])


def write_clips(folder, helpers, count, num_frames=250, schema=None):
    """Clips whose frames tell their number in red and their clip in green."""

    def frame(clip, number):
        pixels = np.zeros((8, 8, 3), dtype=np.uint8)
        pixels[..., 0], pixels[..., 1] = number % 256, clip
        return helpers.file_bytes(pixels)

    members = [
        {
            "frames.clip": pack_clip([frame(clip, n) for n in range(num_frames)]),
            "box.npy": helpers.npy_bytes([[n, clip, 1, 1] for n in range(num_frames)]),
        }
        for clip in range(count)
    ]
    clip = IMAGE.model_copy(update={"is_clip": True, "num_frames": num_frames})
    box = FieldSchema(kind="vector", is_clip=True, size=4, num_frames=num_frames)
    return helpers.write_custom(folder, members, {"frames": clip, "box": box})


@pytest.mark.parametrize("stride", [1, 3])
def test_reader_of_a_window_gives_frames_and_vectors_of_one_start(tmp_path, helpers, stride, load):
    location = write_clips(tmp_path / "s", helpers, 2, num_frames=30)
    config = DataConfig(workers=0, clip={"num_frames": 4, "stride": stride})
    options = {"fields": ["frames", "box"], "micro_batch": 64}
    batch = load(location, config=config, **options)[0][0]
    numbers = batch["frames"][:, :, 0, 0, 0].int()
    assert numbers.shape == (64, 4)
    assert (numbers.diff(dim=1) == stride).all()
    assert torch.equal(batch["box"][..., 0].int(), numbers)
    assert torch.equal(batch["box"][..., 1].int(), batch["frames"][:, :, 1, 0, 0].int())
    assert len(set(numbers[:, 0].tolist())) > 12


def test_reader_of_clips_of_unequal_length_gives_the_frames_of_the_shortest(
    tmp_path, helpers, load
):
    location = write_clips(tmp_path / "s", helpers, 1, num_frames=7)
    index = load_index(location)
    schema = {n: f.model_copy(update={"num_frames": 5}) for n, f in index.fields.items()}
    helpers.rewrite_index(location, fields=schema)
    batch = load(location, fields=["frames", "box"], micro_batch=1)[0][0]
    assert batch["frames"][0, :, 0, 0, 0].tolist() == [0, 1, 2, 3, 4]
    assert batch["box"][0, :, 0].tolist() == [0, 1, 2, 3, 4]


@pytest.mark.parametrize("field", ["frames", "box"])
def test_reader_of_a_clip_shorter_than_the_index_says_is_refused(tmp_path, helpers, field, load):
    location = write_clips(tmp_path / "s", helpers, 1, num_frames=4)
    schema = {
        n: f.model_copy(update={"num_frames": 5}) for n, f in load_index(location).fields.items()
    }
    helpers.rewrite_index(location, fields=schema)
    with pytest.raises(ShardError, match=f"'{field}' has 4 frames, fewer than 5"):
        load(location, fields=[field])


def test_reader_of_a_window_reads_little_more_than_its_frames(tmp_path, helpers, monkeypatch, load):
    location = write_clips(tmp_path / "s", helpers, 1)
    reads = []
    part = Member.part
    monkeypatch.setattr(
        Member, "part", lambda self, *place: reads.append(part(self, *place)) or reads[-1]
    )
    monkeypatch.setattr(Member, "read", lambda self: pytest.fail("the whole member is read"))
    config = DataConfig(workers=0, clip={"num_frames": 8})
    batch = load(location, config=config, fields=["frames"], micro_batch=1)[0][0]["frames"]
    first = int(batch[0, 0, 0, 0, 0])
    assert batch[0, :, 0, 0, 0].tolist() == list(range(first, first + 8))
    frame_bytes = len(helpers.file_bytes(np.zeros((8, 8, 3), np.uint8)))
    assert sum(map(len, reads)) < 4096 + 8 * (frame_bytes + 10)
    assert len(reads) == 2


def test_reader_of_a_clip_with_a_long_table_reads_the_table_again(tmp_path, helpers, load):
    location = write_clips(tmp_path / "s", helpers, 1, num_frames=300)
    config = DataConfig(workers=0, clip={"num_frames": 2})
    options = {"fields": ["frames"], "micro_batch": 32}
    numbers = load(location, config=config, **options)[0][0]["frames"][:, :, 0, 0, 0].int()
    # Numbers are stored modulo 256.
    assert ((numbers[:, 1] - numbers[:, 0]) % 256 == 1).all()


def test_reader_of_a_changed_frame_refuses_only_windows_that_show_it(tmp_path, helpers, load):
    location = write_clips(tmp_path / "s", helpers, 1, num_frames=10)
    path = os.path.join(location, "main-000000.tar")
    data = bytearray(open(path, "rb").read())
    last = data.rindex(b"IDAT")
    data[last + 6] ^= 1
    with open(path, "wb") as file:
        file.write(data)
    assert load(location, fields=["frames"], config=DataConfig(workers=0, clip={"num_frames": 1}))
    with pytest.raises(ShardError, match="'frames' has a frame that has changed"):
        load(location, fields=["frames"])
