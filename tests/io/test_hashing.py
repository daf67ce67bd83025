import hashlib

import numpy as np
import pytest

from ganforge.io.hashing import GAMMA, file_sha256, hash_key, hash_range, splitmix64


def test_file_sha256_equals_the_hash_of_the_content(tmp_path):
    content = b"x" * 3_000_000
    (tmp_path / "a").write_bytes(content)
    assert file_sha256(tmp_path / "a") == hashlib.sha256(content).hexdigest()


def test_file_sha256_of_a_missing_file_names_it(tmp_path):
    with pytest.raises(OSError, match="gone"):
        file_sha256(tmp_path / "gone")


def test_splitmix64_matches_its_published_first_outputs():
    # Seed 0 of the reference generator: state advances by gamma, then is finalised.
    expected = [0xE220A8397B1DCDAF, 0x6E789E6AA1B965F4, 0x06C45D188009454F]
    assert hash_range(0, 3, 0).tolist() == expected
    assert [splitmix64((i + 1) * GAMMA) for i in range(3)] == expected


def test_splitmix64_takes_its_argument_modulo_2_to_the_64():
    assert splitmix64(-1) == splitmix64(2**64 - 1) != splitmix64(1)


def test_hash_range_equals_splitmix64_of_each_number():
    key = hash_key(5, 7)
    expected = [splitmix64(key + (i + 1) * GAMMA) for i in range(3, 20)]
    assert hash_range(3, 17, key).tolist() == expected
    assert hash_range(3, 17, key).dtype == np.uint64


def test_hash_key_depends_on_every_part_and_its_place():
    keys = {hash_key(*parts) for parts in [(), (0,), (1,), (0, 0), (0, 1), (1, 0), (-1,)]}
    assert len(keys) == 7
