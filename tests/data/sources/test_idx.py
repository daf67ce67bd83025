import gzip
import struct

import numpy as np
import pytest

from ganforge.errors import DataError

RNG = np.random.default_rng(0)


def idx_bytes(values):
    head = b"\0\0\x08" + bytes([values.ndim]) + struct.pack(f">{values.ndim}I", *values.shape)
    return head + values.tobytes()


@pytest.mark.parametrize("pack", [bytes, gzip.compress])
def test_idx_gives_images_and_labels(tmp_path, pack, source):
    images = RNG.integers(0, 256, (5, 28, 28), dtype=np.uint8)
    labels = np.array([1, 0, 2, 2, 1], dtype=np.uint8)
    (tmp_path / "images").write_bytes(pack(idx_bytes(images)))
    (tmp_path / "labels").write_bytes(pack(idx_bytes(labels)))
    found = source("idx", images=str(tmp_path / "images"), labels=str(tmp_path / "labels"))
    samples = list(found.samples())
    np.testing.assert_array_equal([s.fields["image"] for s in samples], images)
    assert [s.fields["label"] for s in samples] == labels.tolist()
    assert list(found.class_names()) == ["0", "1", "2"]
    assert found.num_samples() == 5
    plain = source("idx", images=str(tmp_path / "images"))
    assert plain.class_names() == ()
    assert "label" not in next(plain.samples()).fields


@pytest.mark.parametrize("pack", [bytes, gzip.compress])
def test_idx_that_is_too_large_is_refused(tmp_path, monkeypatch, source, pack):
    (tmp_path / "images").write_bytes(pack(idx_bytes(np.zeros((5, 28, 28), np.uint8))))
    monkeypatch.setattr("ganforge.data.sources.idx.MAX_BYTES", 1000)
    with pytest.raises(DataError, match="more than the limit of 1000 bytes .*bomb"):
        list(source("idx", images=str(tmp_path / "images")).samples())


@pytest.mark.parametrize(
    ("content", "text"),
    [
        (None, "images cannot be read: it does not exist. Correct the path"),
        (idx_bytes(np.zeros((0, 4, 4), np.uint8)), r"has no values, .* \(0 x 4 x 4\)"),
        (idx_bytes(np.zeros((1,) * 5, np.uint8)), r"too many dimensions \(1 x 1 x 1 x 1 x 1\)"),
        (b"\0\0\x08\x04" + b"\0\1\0\0" * 4, "has 0 values, its header says 18446744073709551616"),
        (b"\x1f\x8bgarbage", "cannot be read"),
        (b"PNG", "is not an IDX file"),
        (b"\0\0\x08\x03\0\0", "cut short after 6 bytes"),
        (idx_bytes(np.zeros((2, 3, 3), np.uint8))[:-1], r"has 17 values, .* 18 \(2 x 3 x 3\)"),
        (idx_bytes(np.zeros(2, np.uint8)), "has 1 dimensions, not 3.*exchanged"),
    ],
)
def test_idx_that_is_damaged_says_how(tmp_path, content, text, source):
    if content is not None:
        (tmp_path / "images").write_bytes(content)
    with pytest.raises(DataError, match=text):
        list(source("idx", images=str(tmp_path / "images")).samples())


def test_idx_with_labels_of_another_split_says_so(tmp_path, source):
    (tmp_path / "images").write_bytes(idx_bytes(np.zeros((2, 3, 3), np.uint8)))
    (tmp_path / "labels").write_bytes(idx_bytes(np.zeros(3, np.uint8)))
    with pytest.raises(DataError, match=r"has shape \[3\], but there are 2 images"):
        source(
            "idx", images=str(tmp_path / "images"), labels=str(tmp_path / "labels")
        ).class_names()
