import io
import tarfile
from pathlib import Path

import numpy as np
import pytest
import webdataset

from ganforge.data.shards.index import load_index
from ganforge.data.shards.member_table import load_members, scan_shard, sidecar_path
from ganforge.errors import ShardError

FIELDS = ("image", "label")


def first_shard(location):
    info = load_index(location).streams["main"][0]
    return Path(location) / info.name, info


def load(path, info):
    with path.open("rb") as file:
        return load_members(path, file, info, FIELDS)


def tar_of(path, *members):
    with tarfile.open(path, "w") as tar:
        for name, data in members:
            info = tarfile.TarInfo(name)
            info.size = len(data)
            tar.addfile(info, io.BytesIO(data))
    return path


def test_table_of_writer_equals_a_scan_and_points_at_the_members(dataset):
    path, info = first_shard(dataset)
    table, found = scan_shard(path, FIELDS)
    assert found == info
    np.testing.assert_array_equal(np.load(sidecar_path(path)), table)
    data = path.read_bytes()
    for row in range(8):
        offset, size, _ = table[row, 1].item()
        assert int(data[offset : offset + size]) == row % 4
        assert data[table[row, 0]["offset"] :][:4] == b"\x89PNG"


def test_plain_webdataset_reads_the_same_samples(dataset, helpers):
    urls = [str(Path(dataset) / s.name) for s in load_index(dataset).streams["main"]]
    plain = webdataset.WebDataset(urls, shardshuffle=False, empty_check=False).decode("rgb8")
    samples = list(plain)
    assert [s["__key__"] for s in samples] == [f"{n:05d}" for n in range(20)]
    for number, sample in enumerate(samples):
        np.testing.assert_array_equal(sample["image.png"], helpers.numbered_image(number))
        assert sample["label.cls"] == number % 4


def test_shards_do_not_depend_on_time_or_place(tmp_path, helpers):
    first, second = (helpers.write_dataset(tmp_path / name) for name in "ab")
    assert load_index(first).digest == load_index(second).digest


def test_absent_table_is_rebuilt_and_kept(dataset):
    path, info = first_shard(dataset)
    before = np.load(sidecar_path(path))
    sidecar_path(path).unlink()
    np.testing.assert_array_equal(load(path, info), before)
    np.testing.assert_array_equal(np.load(sidecar_path(path)), before)


@pytest.mark.parametrize("content", [b"", b"nonsense", None])
def test_damaged_or_foreign_table_is_rebuilt_with_a_warning(dataset, content, caplog):
    path, info = first_shard(dataset)
    before = np.load(sidecar_path(path))
    if content is None:
        np.save(sidecar_path(path).open("wb"), before[:-1])
    else:
        sidecar_path(path).write_bytes(content)
    np.testing.assert_array_equal(load(path, info), before)
    assert "rebuilt from the shard" in caplog.text


def test_rebuild_of_a_changed_shard_is_an_error(dataset):
    path, info = first_shard(dataset)
    sidecar_path(path).unlink()
    data = bytearray(path.read_bytes())
    data[700] ^= 1
    path.write_bytes(data)
    with pytest.raises(
        ShardError, match=r"main-000000.tar has sha256 .*, the index says .*Restore"
    ):
        load(path, info)


def test_garbage_in_the_middle_of_a_tar_is_a_short_shard(dataset):
    path, info = first_shard(dataset)
    sidecar_path(path).unlink()
    data = bytearray(path.read_bytes())
    header = data.index(b"00004.image.png")
    data[header : header + 512] = b"\xa5" * 512
    path.write_bytes(data)
    with pytest.raises(ShardError, match="main-000000.tar holds 4 samples, the index says 8"):
        load(path, info)


@pytest.mark.parametrize("name", ["/etc/1.image.png", "../1.image.png", "a/../../1.image.png"])
def test_member_that_leads_out_of_the_folder_is_refused(tmp_path, name):
    path = tar_of(tmp_path / "bad.tar", (name, b"x"))
    with pytest.raises(ShardError, match=r"bad.tar holds the member .*Do not trust this shard"):
        scan_shard(path, ("image",))


def test_member_that_is_a_link_is_refused(tmp_path):
    with tarfile.open(tmp_path / "bad.tar", "w") as tar:
        link = tarfile.TarInfo("1.image.png")
        link.type, link.linkname = tarfile.SYMTYPE, "/etc/passwd"
        tar.addfile(link)
    with pytest.raises(ShardError, match="'1.image.png', which is not a plain file"):
        scan_shard(tmp_path / "bad.tar", ("image",))


@pytest.mark.parametrize(
    "names",
    [("1.image.png", "1.image.png"), ("1.image.png", "2.image.png", "1.image.png")],
)
def test_key_that_comes_twice_is_refused(tmp_path, names):
    path = tar_of(tmp_path / "bad.tar", *((name, b"x") for name in names))
    with pytest.raises(ShardError, match="bad.tar holds the key '1' twice. Keys must be unique"):
        scan_shard(path, ("image",))


def test_sample_with_other_fields_is_refused(tmp_path):
    path = tar_of(tmp_path / "bad.tar", ("1.image.png", b"x"), ("2.label.cls", b"1"))
    with pytest.raises(ShardError, match="'2' of shard .* has the fields label; .*says image"):
        scan_shard(path, ("image",))


def test_zero_byte_shard_is_refused(tmp_path):
    (tmp_path / "bad.tar").touch()
    with pytest.raises(ShardError, match=r"bad.tar is empty \(0 bytes\)"):
        scan_shard(tmp_path / "bad.tar", ("image",))


def test_file_that_is_no_tar_is_refused(tmp_path):
    (tmp_path / "bad.tar").write_bytes(b"x" * 2000)
    with pytest.raises(ShardError, match="bad.tar is not a readable tar"):
        scan_shard(tmp_path / "bad.tar", ("image",))


def test_tar_cut_within_a_member_is_refused(tmp_path):
    path = tar_of(tmp_path / "bad.tar", ("1.image.png", b"x" * 5000))
    path.write_bytes(path.read_bytes()[:2000])
    with pytest.raises(ShardError, match=r"bad.tar is not a readable tar \(unexpected end"):
        scan_shard(path, ("image",))


def test_long_and_non_ascii_keys_survive(tmp_path):
    from ganforge.data.shards.writer import EncodedSample, write_stream

    keys = ["k" * 150, "katze_größe"]
    (info,) = write_stream(
        tmp_path, "main", [EncodedSample(key, {"image.png": b"x"}) for key in keys], ("image",), 10
    )
    assert info.num_samples == 2
    plain = webdataset.WebDataset(str(tmp_path / info.name), shardshuffle=False, empty_check=False)
    assert [sample["__key__"] for sample in plain] == keys
