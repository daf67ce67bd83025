import io
import json

import numpy as np
import pytest
import torch

from ganforge.config.models import DataConfig
from ganforge.data.loader import RealImages
from ganforge.data.shards.clip import pack_clip
from ganforge.data.shards.field_readers import caption_lines
from ganforge.data.shards.index import FieldSchema
from ganforge.errors import ShardError
from ganforge.imaging.codec import encode_png

IMAGE = FieldSchema(kind="image", height=8, width=8, channels=3)
VECTORS = {
    "attributes": FieldSchema(kind="attributes", size=2),
    "text": FieldSchema(kind="text", size=3),
    "caption": FieldSchema(kind="caption"),
}


def npy(values):
    buffer = io.BytesIO()
    np.save(buffer, np.asarray(values, dtype=np.float32))
    return buffer.getvalue()


def vector_members(**changes):
    return {
        "attributes.json": json.dumps([1, -0.5]).encode(),
        "text.npy": npy([1, 2, 3]),
        "caption.txt": "ein Häuschen".encode(),
    } | changes


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
        ShardError, match=r"Sample '000' .*'image' is a (damaged (JPEG|PNG)|PNG cut)"
    ):
        load(location, 1, fields=["image"])


def test_reader_of_bytes_that_are_no_image_says_so(tmp_path, helpers, load):
    location = helpers.write_custom(
        tmp_path / "s", [{"image.png": b"hello world"}], {"image": IMAGE}
    )
    with pytest.raises(ShardError, match="is neither PNG nor JPEG"):
        load(location, 1, fields=["image"])


@pytest.mark.parametrize(
    ("label", "text"),
    [(b"4", "is the label 4; .*0 to 3"), (b"-1", "label -1"), (b"cat", "not an integer: b'cat'")],
)
def test_reader_of_a_label_out_of_range_names_it(tmp_path, helpers, label, text, load):
    image = helpers.file_bytes(helpers.numbered_image(0))
    schema = {"image": IMAGE, "label": FieldSchema(kind="label", size=4)}
    location = helpers.write_custom(
        tmp_path / "s", [{"image.png": image, "label.cls": label}], schema
    )
    with pytest.raises(
        ShardError, match=f"Sample '000' .*s/main-000000.tar: field 'label' .*{text}"
    ):
        load(location, 1, fields=["image", "label"])


def test_reader_gives_attributes_text_and_captions(tmp_path, helpers, load):
    location = helpers.write_custom(tmp_path / "s", [vector_members()] * 2, VECTORS)
    batch = load(location, 1, fields=list(VECTORS), micro_batch=2)[0][0]
    torch.testing.assert_close(batch["attributes"], torch.tensor([[1, -0.5]] * 2))
    torch.testing.assert_close(batch["text"], torch.tensor([[1.0, 2, 3]] * 2))
    assert batch["caption"] == ["ein Häuschen"] * 2


@pytest.mark.parametrize(
    ("changes", "text"),
    [
        ({"attributes.json": b"[1]"}, r"'attributes' has shape \[1\], the index says \[2\]"),
        ({"attributes.json": b"[1,"}, "'attributes' is not a vector"),
        ({"text.npy": b"xx"}, "'text' is not a vector"),
        ({"text.npy": npy([1])}, r"'text' has shape \[1\], the index says \[3\]"),
        ({"caption.txt": b"\xff\xfe"}, "'caption' is not UTF-8"),
    ],
)
def test_reader_of_a_bad_vector_or_caption_names_it(tmp_path, helpers, changes, text, load):
    location = helpers.write_custom(tmp_path / "s", [vector_members(**changes)], VECTORS)
    with pytest.raises(ShardError, match=f"Sample '000' .*{text}"):
        load(location, 1, fields=list(VECTORS))


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


def test_caption_lines_are_the_lines_that_are_not_blank():
    assert caption_lines(" one \n\n \ttwo\r\nthree") == ["one", "two", "three"]
