"""Attributes, embeddings and vectors; boxes are where the pixels are."""

import json

import numpy as np
import pytest
import torch

from ganforge.config.models import DataConfig
from ganforge.data.shards.index import FieldSchema
from ganforge.errors import ShardError
from ganforge.imaging.codec import encode_png
from ganforge.interfaces.spec import ImageSpec

VECTORS = {
    "attributes": FieldSchema(kind="attributes", size=2),
    "text": FieldSchema(kind="text", size=3),
    "pose": FieldSchema(kind="vector", size=2),
}


@pytest.fixture
def members(helpers):
    return {
        "attributes.json": json.dumps([1, -0.5]).encode(),
        "text.npy": helpers.npy_bytes([1, 2, 3]),
        "pose.npy": helpers.npy_bytes([7, 300], np.int64),
    }


def test_reader_gives_attributes_text_and_vectors_as_float32(tmp_path, helpers, members, load):
    location = helpers.write_custom(tmp_path / "s", [members] * 2, VECTORS)
    batch = load(location, 1, fields=list(VECTORS), micro_batch=2)[0][0]
    torch.testing.assert_close(batch["attributes"], torch.tensor([[1, -0.5]] * 2))
    torch.testing.assert_close(batch["text"], torch.tensor([[1.0, 2, 3]] * 2))
    torch.testing.assert_close(batch["pose"], torch.tensor([[7.0, 300]] * 2))


@pytest.mark.parametrize(
    ("name", "values", "text"),
    [
        ("attributes.json", b"[1]", r"'attributes' has shape \[1\], the index says \[2\]"),
        ("attributes.json", b"[1,", "'attributes' is not a vector"),
        ("text.npy", b"xx", r"'text' is no \.npy file"),
        ("text.npy", [1], r"'text' has shape \[1\], the index says \[3\]"),
        ("pose.npy", [[1, 2], [3, 4]], r"'pose' has shape \[2, 2\], the index says \[2\]"),
        ("pose.npy", 3, r"'pose' has shape \[\], the index says \[2\]"),
    ],
)
def test_reader_of_a_bad_vector_names_it(tmp_path, helpers, members, name, values, text, load):
    bad = values if isinstance(values, bytes) else helpers.npy_bytes(values)
    location = helpers.write_custom(tmp_path / "s", [members | {name: bad}], VECTORS)
    with pytest.raises(ShardError, match=f"Sample '000' .*{text}"):
        load(location, 1, fields=list(VECTORS))


def drawn(height=40, width=48, top=14, left=17, box=(9, 11)):
    """A white rectangle on black, and its corners x0, y0, x1, y1."""
    pixels = np.zeros((height, width, 1), dtype=np.uint8)
    pixels[top : top + box[0], left : left + box[1]] = 255
    return pixels, [left, top, left + box[1], top + box[0]]


def found(img):
    """Corners x0, y0, x1, y1 of the white rectangle in a gray image [H, W]."""
    rows, columns = (img > 127).nonzero(as_tuple=True)
    return [columns.min(), rows.min(), columns.max() + 1, rows.max() + 1]


@pytest.mark.parametrize(
    ("scale", "tolerance"), [((1, 1), 0), ((1, 1.5), 1)], ids=["translated", "scaled"]
)
def test_boxes_and_keypoints_follow_the_crop_and_the_mirror(
    tmp_path, helpers, scale, tolerance, load
):
    pixels, (x0, y0, x1, y1) = drawn()
    members = {
        "image.png": encode_png(pixels),
        "corners.npy": helpers.npy_bytes([x0, y0, x1, y1]),
        "box.npy": helpers.npy_bytes([x0, y0, x1 - x0, y1 - y0]),
        # The upper left and the upper right corner, as seen.
        "ends.npy": helpers.npy_bytes([x0, y0, x1, y0]),
        "seen.npy": helpers.npy_bytes([x0, y0, 1, 0, 0, 0]),
    }
    vector = FieldSchema(kind="vector", size=4)
    schema = {
        "image": FieldSchema(kind="image", height=40, width=48, channels=1),
        "corners": vector.model_copy(update={"coordinates": "xyxy"}),
        "box": vector.model_copy(update={"coordinates": "xywh"}),
        "ends": vector.model_copy(update={"coordinates": "xy", "swap": ((0, 1),)}),
        "seen": FieldSchema(kind="vector", size=6, coordinates="xyv"),
    }
    location = helpers.write_custom(tmp_path / "s", [members], schema, ImageSpec(40, 48, 1))
    crop = {"from": [40, 48], "scale": scale}
    config = DataConfig(workers=0, resolution=[34, 38], crop=crop, flip=True)
    batch = load(location, config=config, fields=list(schema), micro_batch=64)[0][0]
    seen_mirrored = set()
    # Enlarged, the rectangle may reach beyond the crop.
    limits = torch.tensor([38.0, 34.0])
    for place in range(64):
        corners = torch.tensor(found(batch["image"][place, 0])).float()
        near = {"rtol": 0, "atol": tolerance}
        shown = batch["corners"][place].view(2, 2).clamp(min=0).minimum(limits).flatten()
        torch.testing.assert_close(shown, corners, **near)
        x, y, width, height = batch["box"][place].tolist()
        whole = torch.tensor([x, y, x + width, y + height])
        torch.testing.assert_close(whole, batch["corners"][place], rtol=0, atol=1e-4)
        torch.testing.assert_close(batch["ends"][place], whole[[0, 1, 2, 1]], rtol=0, atol=1e-4)
        assert batch["seen"][place, 3:].tolist() == [0, 0, 0]
        first = float(batch["seen"][place, 0])
        assert min(abs(first - whole[0]), abs(first - whole[2])) < 1e-4
        seen_mirrored.add(bool(abs(first - whole[2]) < 1e-4))
    assert seen_mirrored == {True, False}


def test_boxes_of_whole_images_are_mirrored_with_them(tmp_path, helpers, load):
    pixels, corners = drawn()
    schema = {
        "image": FieldSchema(kind="image", height=40, width=48, channels=1),
        "box": FieldSchema(kind="vector", size=4, coordinates="xyxy", is_clip=False),
    }
    members = {"image.png": encode_png(pixels), "box.npy": helpers.npy_bytes(corners)}
    location = helpers.write_custom(tmp_path / "s", [members], schema, ImageSpec(40, 48, 1))
    config = DataConfig(workers=0, flip=True)
    batch = load(location, config=config, fields=list(schema), micro_batch=16)[0][0]
    assert [found(img[0]) for img in batch["image"]] == batch["box"].int().tolist()
    assert len({tuple(box) for box in batch["box"].tolist()}) == 2
