import numpy as np
import pytest
from PIL import Image

from ganforge.config.data import DataConfig
from ganforge.data.prepare.probe import probe_schema
from ganforge.data.prepare.sample_encoder import SampleEncoder
from ganforge.errors import DataError
from ganforge.interfaces.source import Frames, Sample


def image(height=8, width=8):
    return np.zeros((height, width, 3), np.uint8)


def encode(first, sample, **config):
    settings = DataConfig(**config)
    schema = probe_schema(settings, "main", [Sample("first", first)], "the test")
    return SampleEncoder(settings, schema, "the test").encode(Sample("a", sample))


def test_members_are_named_by_field_and_format():
    fields = {
        "image": image(),
        "frames": [image()],
        "label": 1,
        "caption": "x",
        "attributes": [1.0],
        "text": [1.0],
        "boxes": [1, 2, 3, 4],
    }
    encoded = encode(fields, fields)
    assert encoded.fault == ""
    assert set(encoded.sample.members) == {
        "image.png",
        "frames.clip",
        "label.cls",
        "caption.txt",
        "attributes.json",
        "text.npy",
        "boxes.npy",
    }
    assert encoded.num_frames == {"frames": 1}


@pytest.mark.parametrize("sizes", [((50, 100), (64, 64)), ((64, 64), (50, 100))])
@pytest.mark.parametrize("resize", ["crop", "fit"])
def test_pairs_of_different_aspect_are_refused(sizes, resize):
    first, second = ({"source": image(*a), "target": image(*b)} for a, b in (sizes, sizes))
    encoded = encode(first, second, resolution=64, resize=resize)
    assert encoded.fault.startswith("Sample 'a' of the test: 'target' is ")
    assert "50 x 100" in encoded.fault and "64 x 64" in encoded.fault
    assert "resize: stretch" in encoded.fault


@pytest.mark.parametrize(
    ("source", "target", "resize"),
    [
        ((16, 32), (64, 128), "crop"),
        ((33, 50), (66, 101), "crop"),
        ((50, 100), (64, 64), "stretch"),
    ],
)
def test_pairs_that_stay_aligned_are_stored(source, target, resize):
    fields = {"source": image(*source), "target": image(*target)}
    assert encode(fields, fields, resolution=64, resize=resize).fault == ""


def test_pairs_of_different_size_cannot_be_padded_alike():
    fields = {"source": image(16, 16), "target": image(32, 32)}
    assert "would not stay aligned" in encode(fields, fields, resolution=64, resize="pad").fault


def test_clips_of_one_sample_must_have_one_length():
    first = {"source": [image()], "frames": [image()]}
    encoded = encode(first, {"source": [image()] * 2, "frames": [image()] * 3})
    assert "'frames' has 3, 'source' has 2 frames" in encoded.fault


def test_vectors_of_frames_follow_the_length_of_the_clip():
    first = {"frames": [image()] * 2, "points": [[1, 2]] * 2}
    assert encode(first, {"frames": [image()] * 3, "points": [[1, 2]] * 3}).num_frames == {
        "frames": 3,
        "points": 3,
    }
    encoded = encode(first, {"frames": [image()] * 3, "points": [[1, 2]] * 2})
    assert "field 'points' must hold 2 numbers for each of 3 frames" in encoded.fault


@pytest.mark.parametrize(
    ("first", "sample", "text"),
    [
        ({"image": image()}, {"image": [image()]}, "'image' is not one image"),
        ({"image": [image()]}, {"image": image()}, "'image' is not image clip"),
        ({"image": image(), "x": [1]}, {"image": image(), "x": image()}, "'x' is not one vector"),
    ],
)
def test_values_of_another_kind_than_the_first_are_refused(first, sample, text):
    assert text in encode(first, sample).fault


class Broken(Frames):
    """A clip whose second frame cannot be decoded."""

    def __len__(self):
        return 2

    def __iter__(self):
        yield image()
        raise DataError("x.mp4 is damaged")


def test_fault_in_a_lazy_clip_names_the_sample():
    encoded = encode({"frames": [image()] * 2}, {"frames": Broken()})
    assert encoded.fault == (
        "Sample 'a' of the test: field 'frames' cannot be decoded: x.mp4 is damaged"
    )


@pytest.mark.parametrize("caption", [None, 5, [], [None], ["a", None], b"a"])
def test_caption_that_is_no_text_is_a_fault_and_not_the_text_none(caption):
    first = {"image": image(), "caption": "a cat"}
    encoded = encode(first, {**first, "caption": caption})
    assert f"its caption is {caption!r}, not a text" in encoded.fault


def test_captions_are_lines_of_one_member():
    fields = {"image": image(), "caption": ["a  cat", "a\npet"]}
    assert encode(fields, fields).sample.members["caption.txt"] == b"a cat\na pet"


def test_image_with_further_frames_says_so(helpers):
    frames = [Image.fromarray(image() + value) for value in (0, 90)]
    data = helpers.file_bytes(frames[0], "gif", save_all=True, append_images=frames[1:])
    fields = {"image": data}
    assert encode(fields, fields).has_more
