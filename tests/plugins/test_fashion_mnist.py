import gzip
import struct

import numpy as np
import pytest
from ganforge_fashion_mnist.idx import read_idx
from ganforge_fashion_mnist.source import FashionMnist

from ganforge.config import StrictModel
from ganforge.errors import DataError


def idx_bytes(values: np.ndarray) -> bytes:
    return (
        bytes([0, 0, 8, values.ndim])
        + struct.pack(f">{values.ndim}I", *values.shape)
        + (values.tobytes())
    )


def test_source_first_and_last_samples_are_those_of_the_original_file():
    source = FashionMnist(StrictModel())
    samples = list(source.samples())
    assert len(samples) == len(source) == 10_000
    assert [s.fields["label"] for s in samples[:5]] == [9, 2, 1, 1, 6]
    assert samples[-1].key == "09999"
    assert samples[0].fields["image"].size == (28, 28)
    assert samples[0].fields["image"].mode == "L"


def test_source_classes_are_even_and_named():
    source = FashionMnist(StrictModel())
    labels = [sample.fields["label"] for sample in source.samples()]
    assert np.bincount(labels).tolist() == [1000] * 10
    assert len(source.class_names()) == 10


def test_read_idx_reads_back_what_was_written(tmp_path):
    values = np.arange(24, dtype=np.uint8).reshape(2, 3, 4)
    file = tmp_path / "a.gz"
    file.write_bytes(gzip.compress(idx_bytes(values)))
    np.testing.assert_array_equal(read_idx(file), values)


@pytest.mark.parametrize(
    ("content", "fault"),
    [
        (None, "cannot be read"),
        (b"garbage", "cannot be read"),
        (gzip.compress(b"garbage"), "not IDX of uint8"),
        (gzip.compress(idx_bytes(np.zeros((2, 3), np.uint8))[:-1]), "declares 2x3 values"),
        (gzip.compress(idx_bytes(np.zeros((2, 3), np.uint8)))[:-9], "cannot be read"),
    ],
)
def test_read_idx_damaged_file_says_which_and_what_to_do(tmp_path, content, fault):
    file = tmp_path / "a.gz"
    if content is not None:
        file.write_bytes(content)
    with pytest.raises(DataError, match=f"a.gz.*{fault}.*Reinstall ganforge"):
        read_idx(file)
