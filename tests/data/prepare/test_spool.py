import numpy as np

from ganforge.data.prepare.spool import Spool
from ganforge.data.shards.writer import EncodedSample

SAMPLES = [EncodedSample(f"key{n}", {"image.png": bytes([n]) * n, "a.txt": b""}) for n in range(5)]


def test_spool_reads_samples_back_in_any_order_and_deletes_its_file(tmp_path):
    with Spool(tmp_path / "spool") as spool:
        for sample in SAMPLES:
            spool.append(sample)
        assert len(spool) == 5
        assert [spool.read(number) for number in (4, 0, 2)] == [SAMPLES[4], SAMPLES[0], SAMPLES[2]]
    assert not (tmp_path / "spool").exists()


def test_spool_finds_a_key_that_was_appended_twice(tmp_path):
    with Spool(tmp_path / "spool") as spool:
        for sample in SAMPLES:
            spool.append(sample)
        assert spool.duplicate_key() is None
        spool.append(SAMPLES[3])
        assert spool.duplicate_key() == "key3"


def test_spool_with_equal_hashes_of_different_keys_has_no_duplicate(tmp_path):
    # Python hashes -1 and -2 alike; strings practically never, so the hashes are replaced.
    with Spool(tmp_path / "spool") as spool:
        for sample in SAMPLES[:2]:
            spool.append(sample)
        spool._keys[0] = spool._keys[1]
        assert spool.duplicate_key() is None


def test_spool_knows_which_samples_are_in_one_group(tmp_path):
    with Spool(tmp_path / "spool") as spool:
        for key, group in (("a", "x"), ("b", ""), ("c", "x"), ("d", "y"), ("e", "")):
            spool.append(EncodedSample(key, {}, group))
        assert spool.grouped_with(np.array([0, 1])).tolist() == [True, True, True, False, False]
