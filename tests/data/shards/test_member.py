import zlib

import pytest

from ganforge.data.shards.member import Member
from ganforge.imaging.codec import Undecodable

DATA = b"header" + b"the member" + b"rest"


@pytest.fixture
def file(tmp_path):
    path = tmp_path / "shard"
    path.write_bytes(DATA)
    with path.open("rb") as opened:
        yield opened.fileno()


def test_member_reads_its_bytes_and_parts_of_them(file):
    member = Member(file, 6, 10, zlib.crc32(b"the member"))
    assert member.read() == b"the member"
    assert member.part(4, 3) == b"mem"
    assert member.part(4, 100) == b"member"


@pytest.mark.parametrize(("size", "crc"), [(10, 0), (100, zlib.crc32(b"the memberrest"))])
def test_member_that_has_changed_or_is_cut_is_refused(file, size, crc):
    with pytest.raises(Undecodable, match="has changed since the shard was written"):
        Member(file, 6, size, crc).read()
