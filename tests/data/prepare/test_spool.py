import numpy as np
import pytest

from ganforge.data.prepare.sample_encoder import Encoded
from ganforge.data.prepare.spool import Spool
from ganforge.data.shards.writer import EncodedSample

HEADER = {"size": [8, 8]}
SAMPLES = [EncodedSample(f"key{n}", {"image.png": bytes([n]) * n, "a.txt": b""}) for n in range(5)]
ALL = [
    *map(Encoded, SAMPLES[:2]),
    Encoded(EncodedSample("bad", {}), fault="Sample 'bad': it is"),
    Encoded(EncodedSample("last", {"x.clip": b"12"}, "group"), 3, {"x": 255}, {"x": 7}, True),
]


@pytest.fixture
def spool(tmp_path):
    spool = Spool(tmp_path / "spool", HEADER)
    yield spool
    spool.close()


@pytest.fixture
def path(spool, tmp_path):
    """A spool file of four samples, one of them bad."""
    for encoded in ALL:
        spool.append(encoded)
    spool.close()
    return tmp_path / "spool"


def take_over(path, header=HEADER):
    spool, taken = Spool(path, header), []
    for encoded in spool.earlier():
        taken.append(encoded)
        spool.take_over(encoded)
    return spool, taken


def test_spool_reads_good_samples_back_in_any_order(spool):
    for sample in SAMPLES:
        spool.append(Encoded(sample))
        spool.append(Encoded(EncodedSample("x", {}), fault="bad"))
    assert (len(spool), spool.num_records) == (5, 10)
    assert [spool.read(number) for number in (4, 0, 2)] == [SAMPLES[4], SAMPLES[0], SAMPLES[2]]


def test_spool_finds_a_key_that_was_appended_twice(spool):
    for sample in SAMPLES:
        spool.append(Encoded(sample))
    assert spool.duplicate_key() is None
    spool.append(Encoded(SAMPLES[3]))
    assert spool.duplicate_key() == "key3"


def test_spool_with_equal_hashes_of_different_keys_has_no_duplicate(spool):
    # Python hashes -1 and -2 alike; strings practically never, so the hashes are replaced.
    for sample in SAMPLES[:2]:
        spool.append(Encoded(sample))
    spool._keys[0] = spool._keys[1]
    assert spool.duplicate_key() is None


def test_spool_knows_which_samples_are_in_one_group(spool):
    for key, group in (("a", "x"), ("b", ""), ("c", "x"), ("d", "y"), ("e", "")):
        spool.append(Encoded(EncodedSample(key, {}, group)))
    assert spool.grouped_with(np.array([0, 1])).tolist() == [True, True, True, False, False]


def test_spool_that_is_opened_again_gives_all_that_was_appended(path):
    spool, taken = take_over(path)
    assert taken == ALL
    assert spool.has_more
    assert (spool.cut(), spool.has_more) == (0, False)
    spool.append(Encoded(SAMPLES[4]))
    assert [spool.read(n).key for n in range(len(spool))] == ["key0", "key1", "last", "key4"]
    spool.close()
    assert [each.sample.key for each in take_over(path)[1]][3:] == ["last", "key4"]


def test_spool_loses_only_what_was_not_taken_over(path):
    spool = Spool(path, HEADER)
    spool.take_over(next(spool.earlier()))
    assert spool.cut() > 0
    spool.append(ALL[3])
    spool.close()
    assert take_over(path)[1] == [ALL[0], ALL[3]]


def test_spool_with_another_header_begins_anew(path):
    spool, taken = take_over(path, {"size": [9, 9]})
    assert (spool.replaced, taken, spool.has_more) == (HEADER, [], False)
    spool.append(ALL[0])
    spool.close()
    assert take_over(path, {"size": [9, 9]})[1] == [ALL[0]]


def test_spool_that_is_cut_or_changed_anywhere_keeps_the_records_before(path):
    whole = path.read_bytes()
    begins = [whole.index(each.sample.key.encode()) for each in ALL]
    for place in range(0, len(whole), 7):
        at = whole[:place]
        for damaged in (at, at + bytes([whole[place] ^ 64]) + whole[place + 1 :], at + bytes(99)):
            path.write_bytes(damaged)
            spool, taken = take_over(path)
            assert taken == ALL[: len(taken)] and len(taken) < len(ALL)
            assert len(taken) >= sum(begin < place for begin in begins) - 1
            spool.close()
