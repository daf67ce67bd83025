import tarfile

import pytest

from ganforge.data.shards.member_table import scan_shard, sidecar_path
from ganforge.data.shards.writer import EncodedSample, write_stream
from ganforge.errors import ShardError


def samples(count):
    for n in range(count):
        yield EncodedSample(f"{n:03d}", {"image.png": bytes([n]) * 10, "label.cls": b"0"})


@pytest.mark.parametrize(("count", "sizes"), [(1, [1]), (4, [4]), (9, [4, 4, 1])])
def test_writer_fills_shards_and_writes_their_tables(tmp_path, count, sizes):
    shards = write_stream(tmp_path, "main", samples(count), ("image", "label"), 4)
    assert [shard.num_samples for shard in shards] == sizes
    assert [shard.name for shard in shards] == [f"main-{n:06d}.tar" for n in range(len(sizes))]
    for shard in shards:
        assert scan_shard(tmp_path / shard.name, ("image", "label"))[1] == shard
        assert sidecar_path(tmp_path / shard.name).exists()


def test_writer_stores_no_time_user_or_machine(tmp_path):
    (info,) = write_stream(tmp_path, "main", samples(1), ("image", "label"), 4)
    with tarfile.open(tmp_path / info.name) as tar:
        for member in tar:
            assert (member.mtime, member.uname, member.gname) == (0, "", "")


def test_writer_refuses_a_sample_that_lacks_a_field(tmp_path):
    with pytest.raises(ShardError, match="'000' .*has the fields image, label; .* says image"):
        write_stream(tmp_path, "main", samples(1), ("image",), 4)
