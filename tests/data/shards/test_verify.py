from pathlib import Path

import numpy as np
import pytest

from ganforge.data.shards.index import load_index
from ganforge.data.shards.member_table import sidecar_path
from ganforge.data.shards.verify import verify_shards
from ganforge.errors import DataError


def test_verify_of_a_sound_data_set_finds_nothing(dataset):
    seen = []
    report = verify_shards(dataset, load_index(dataset), advance=seen.append)
    assert report.is_sound
    assert (report.num_shards, report.num_samples, report.repaired) == (3, 20, [])
    assert seen == [1, 1, 1]


def test_verify_lists_every_damaged_shard(dataset):
    folder = Path(dataset)
    (folder / "main-000000.tar").unlink()
    (folder / "main-000001.tar").write_bytes(b"")
    last = bytearray((folder / "main-000002.tar").read_bytes())
    last[600] ^= 1
    (folder / "main-000002.tar").write_bytes(last)
    report = verify_shards(dataset)
    assert not report.is_sound
    assert report.num_samples == 0
    for problem, text in zip(
        report.problems,
        ("main-000000.tar is missing", "main-000001.tar has 0 bytes", "main-000002.tar has sha256"),
        strict=True,
    ):
        assert text in problem
        assert "ganforge data prepare" in problem


def test_verify_without_hashes_looks_at_sizes_only(dataset):
    path = Path(dataset) / "main-000000.tar"
    data = bytearray(path.read_bytes())
    data[600] ^= 1
    path.write_bytes(data)
    assert verify_shards(dataset, hashes=False).is_sound
    assert not verify_shards(dataset).is_sound


@pytest.mark.parametrize("damage", ["absent", "changed", "nonsense"])
def test_verify_repairs_member_tables(dataset, damage):
    path = sidecar_path(Path(dataset) / "main-000001.tar")
    before = np.load(path)
    if damage == "absent":
        path.unlink()
    elif damage == "changed":
        wrong = before.copy()
        wrong["offset"] += 512
        np.save(path.open("wb"), wrong)
    else:
        path.write_bytes(b"nonsense")
    report = verify_shards(dataset)
    assert report.is_sound
    assert report.repaired == ["main-000001.members.npy"]
    np.testing.assert_array_equal(np.load(path), before)


def test_verify_of_nothing_names_the_location(tmp_path):
    with pytest.raises(DataError, match="No index.json"):
        verify_shards(str(tmp_path))
