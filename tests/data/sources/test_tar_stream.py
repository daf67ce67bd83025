import bz2
import gzip
import io
import lzma
import tarfile

import pytest

from ganforge.data.sources.tar_stream import DAMAGE, members

FILES = {"a/1.png": b"1" * 700, "a/2.png": b"", "b/3.png": b"3" * 1024}
PACKERS = {"tar": bytes, "gz": gzip.compress, "bz2": bz2.compress, "xz": lzma.compress}


@pytest.fixture(params=[tarfile.PAX_FORMAT, tarfile.GNU_FORMAT, tarfile.USTAR_FORMAT])
def form(request):
    return request.param


def tar_of(files=FILES, form=tarfile.PAX_FORMAT):
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w", format=form) as tar:
        for name, data in files.items():
            info = tarfile.TarInfo(name)
            info.size = len(data)
            tar.addfile(info, io.BytesIO(data))
    return buffer.getvalue()


class Pipe:
    """Only `read`, in small pieces, as a pipe or a socket has it."""

    def __init__(self, data):
        self._file = io.BytesIO(data)

    def read(self, size=-1):
        return self._file.read(min(size, 100) if size >= 0 else size)


def content(data):
    return {member.name: file.read() for member, file in members(Pipe(data))}


@pytest.mark.parametrize("packer", PACKERS)
def test_members_are_read_from_a_pipe_whatever_the_packing(packer, form):
    assert content(PACKERS[packer](tar_of(form=form))) == FILES


def test_members_with_long_names_and_names_of_any_unicode_are_read():
    files = {f"{'long' * 60}/{'é' * 90}.png": b"1", "cafe\u0301.png": b"2"}
    assert content(tar_of(files)) == files
    assert content(tar_of(files, tarfile.GNU_FORMAT)) == files


def test_members_need_not_be_read():
    assert [member.name for member, _ in members(Pipe(tar_of()))] == list(FILES)


def test_members_are_read_from_several_gzip_streams_in_one_file():
    data = tar_of()
    assert content(gzip.compress(data[:1000]) + gzip.compress(data[1000:])) == FILES


def test_folders_are_no_members_and_links_have_no_content():
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w") as tar:
        for name, kind in (("in", tarfile.DIRTYPE), ("in/1.png", tarfile.SYMTYPE)):
            info = tarfile.TarInfo(name)
            info.type, info.linkname = kind, "2.png"
            tar.addfile(info)
    assert [(m.name, file) for m, file in members(Pipe(buffer.getvalue()))] == [("in/1.png", None)]


@pytest.mark.parametrize("packer", PACKERS)
@pytest.mark.parametrize("length", [0, 100, 512, 1000, 1536, 2048, 3584])
def test_tar_that_is_cut_is_refused(packer, length):
    with pytest.raises(DAMAGE, match="cut|unexpected end|empty|truncated header"):
        content(PACKERS[packer](tar_of()[:length]))


@pytest.mark.parametrize("packer", ["gz", "bz2", "xz"])
def test_packed_tar_that_is_cut_is_refused(packer):
    packed = PACKERS[packer](tar_of())
    for length in range(1, len(packed)):
        with pytest.raises(DAMAGE):
            content(packed[:length])


@pytest.mark.parametrize("packer", PACKERS)
def test_damaged_header_in_the_middle_is_refused_and_not_taken_for_the_end(packer):
    data = bytearray(tar_of())
    data[1536:1600] = bytes(range(1, 65))
    with pytest.raises(tarfile.ReadError, match="it is damaged, or several tars in one, after m"):
        content(PACKERS[packer](bytes(data)))


@pytest.mark.parametrize("packer", PACKERS)
def test_second_tar_behind_the_end_mark_is_refused(packer):
    with pytest.raises(tarfile.ReadError, match="several tars in one, after member 3"):
        content(PACKERS[packer](tar_of() * 2))


@pytest.mark.parametrize("place", [-8, -4])
def test_gzip_checksum_and_length_are_compared(place):
    packed = bytearray(gzip.compress(tar_of()))
    packed[place] ^= 1
    with pytest.raises(OSError, match="CRC check failed|Incorrect length"):
        content(bytes(packed))


@pytest.mark.parametrize("size", [b"77777777777\0", b"\xff" * 12, b"\x80" + b"\x7f" * 11])
def test_header_with_an_impossible_size_neither_hangs_nor_takes_memory(size):
    data = bytearray(tar_of())
    data[124:136] = size
    data[148:156] = b" " * 8
    data[148:156] = b"%06o\0 " % sum(data[:512])
    with pytest.raises(DAMAGE):
        content(bytes(data))


@pytest.mark.parametrize(
    ("data", "text"),
    [
        (b"", "it is empty"),
        (b"\x28\xb5\x2f\xfd" + bytes(20), "packed with zstd; unpack it, or use pipe:zstd"),
        (b"PK\3\4" + bytes(30), "zip archive; use the source zip"),
        (b"\n<!DOCTYPE html>", "it is a web page, which begins b'<!DOCTYPE"),
        (b"no archive".ljust(2048), "bad checksum|invalid header"),
    ],
)
def test_what_is_no_tar_says_what_it_is(data, text):
    with pytest.raises(tarfile.ReadError, match=text):
        content(data)
