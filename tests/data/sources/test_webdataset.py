import io
import tarfile

import numpy as np
import pytest

from ganforge.errors import DataError
from ganforge.imaging.codec import decode_image


def reds(samples, field="image"):
    return [int(decode_image(s.fields[field])[0, 0, 0]) for s in samples]


def wds_tar(path, samples):
    with tarfile.open(path, "w") as tar:
        for name, data in samples:
            info = tarfile.TarInfo(name)
            info.size = len(data)
            tar.addfile(info, io.BytesIO(data))


def test_webdataset_with_braces_gives_image_label_and_caption(tmp_path, helpers, source):
    for shard in range(2):
        data = helpers.file_bytes(np.full((4, 4, 3), shard, np.uint8), "png")
        wds_tar(
            tmp_path / f"x-{shard}.tar",
            [("1.cls", str(2 * shard).encode()), ("1.png", data), ("1.txt", b"hello")],
        )
    found = source("webdataset", urls=str(tmp_path / "x-{0..1}.tar"))
    samples = list(found.samples())
    assert reds(samples) == [0, 1]
    assert [s.fields["label"] for s in samples] == [0, 2]
    assert [s.fields["caption"] for s in samples] == ["hello"] * 2
    assert list(found.class_names()) == ["0", "1", "2"]
    assert [s.key for s in samples] == ["x-0,tar+1", "x-1,tar+1"]


def test_webdataset_faults_are_named(tmp_path, source):
    with pytest.raises(DataError, match="urls: '.*gone.tar' cannot be read"):
        list(source("webdataset", urls=str(tmp_path / "gone.tar")).samples())
    wds_tar(tmp_path / "a.tar", [("1.cls", b"0")])
    with pytest.raises(DataError, match="Sample '1' of .*a.tar has no image"):
        list(source("webdataset", urls=str(tmp_path / "a.tar")).samples())
    wds_tar(tmp_path / "b.tar", [("1.png", b"0"), ("1.cls", b"cat")])
    with pytest.raises(DataError, match="'cls' is not a label .*to null"):
        list(source("webdataset", urls=str(tmp_path / "b.tar")).samples())
    wds_tar(tmp_path / "c.tar", [("1.png", b"0"), ("1.cls", b"2000000000")])
    with pytest.raises(DataError, match="Sample '1' of .*c.tar has the label 2000000000, but"):
        list(source("webdataset", urls=str(tmp_path / "c.tar")).samples())


@pytest.mark.parametrize(
    "length", [1500, 2048, 2560, 2700], ids=["in data", "in blocks", "after a member", "in header"]
)
def test_webdataset_that_is_cut_is_refused(tmp_path, length, source):
    wds_tar(tmp_path / "a.tar", [("1.png", b"0" * 2000), ("2.png", b"0" * 2000)])
    whole = (tmp_path / "a.tar").read_bytes()
    (tmp_path / "a.tar").write_bytes(whole[:length])
    with pytest.raises(DataError, match="urls: '.*a.tar' cannot be read"):
        list(source("webdataset", urls=str(tmp_path / "a.tar")).samples())


def test_webdataset_with_garbage_between_members_is_refused(tmp_path, source):
    wds_tar(tmp_path / "a.tar", [(f"{i}.png", b"0" * 512) for i in range(3)])
    whole = bytearray((tmp_path / "a.tar").read_bytes())
    whole[1024:1536] = bytes(range(256)) * 2  # the header of the second member
    (tmp_path / "a.tar").write_bytes(whole)
    with pytest.raises(DataError, match="a.tar' cannot be read .it is damaged, or several tars in one, after member 1"):
        list(source("webdataset", urls=str(tmp_path / "a.tar")).samples())


def test_webdataset_of_several_tars_in_one_file_is_refused(tmp_path, source):
    wds_tar(tmp_path / "a.tar", [("1.png", b"0")])
    (tmp_path / "b.tar").write_bytes((tmp_path / "a.tar").read_bytes() * 2)
    with pytest.raises(DataError, match="b.tar' cannot be read .it is damaged, or several tars in one, after member 1"):
        list(source("webdataset", urls=str(tmp_path / "b.tar")).samples())


def test_webdataset_that_is_no_tar_is_refused(tmp_path, source):
    (tmp_path / "a.tar").write_bytes(b"no archive".ljust(512))
    with pytest.raises(DataError, match="urls: '.*a.tar' cannot be read"):
        list(source("webdataset", urls=str(tmp_path / "a.tar")).samples())


@pytest.mark.parametrize("name", ["../../1.png", "/abs/1.png"])
def test_webdataset_members_that_point_out_of_the_archive_are_refused(tmp_path, name, source):
    wds_tar(tmp_path / "a.tar", [(name, b"0")])
    with pytest.raises(DataError, match="a.tar has a member '.*1', which points out of the"):
        list(source("webdataset", urls=str(tmp_path / "a.tar")).samples())
