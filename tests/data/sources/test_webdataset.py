import gzip
import http.server
import io
import logging
import re
import shutil
import socket
import tarfile
import threading
from functools import partial
from pathlib import Path

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
    with pytest.raises(
        DataError,
        match="a.tar' cannot be read .it is damaged, or several tars in one, after member 1",
    ):
        list(source("webdataset", urls=str(tmp_path / "a.tar")).samples())


def test_webdataset_of_several_tars_in_one_file_is_refused(tmp_path, source):
    wds_tar(tmp_path / "a.tar", [("1.png", b"0")])
    (tmp_path / "b.tar").write_bytes((tmp_path / "a.tar").read_bytes() * 2)
    with pytest.raises(
        DataError,
        match="b.tar' cannot be read .it is damaged, or several tars in one, after member 1",
    ):
        list(source("webdataset", urls=str(tmp_path / "b.tar")).samples())


def test_webdataset_that_is_no_tar_is_refused(tmp_path, source):
    (tmp_path / "a.tar").write_bytes(b"no archive".ljust(512))
    with pytest.raises(DataError, match="urls: '.*a.tar' cannot be read"):
        list(source("webdataset", urls=str(tmp_path / "a.tar")).samples())


@pytest.mark.parametrize("name", ["../../1.png", "/abs/1.png"])
def test_webdataset_members_that_point_out_of_the_archive_are_refused(tmp_path, name, source):
    wds_tar(tmp_path / "a.tar", [(name, b"0")])
    with pytest.raises(DataError, match="a.tar has a member '.*1.png', which points out of the"):
        list(source("webdataset", urls=str(tmp_path / "a.tar")).samples())


def labels(samples):
    return [s.fields.get("label") for s in samples]


@pytest.fixture
def web(tmp_path):
    """The address of `tmp_path` on a web server."""
    if shutil.which("curl") is None:
        pytest.skip("webdataset reads the web through curl")
    handler = partial(http.server.SimpleHTTPRequestHandler, directory=str(tmp_path))
    handler.log_message = lambda *_: None
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield f"http://127.0.0.1:{server.server_port}"
        server.shutdown()


@pytest.mark.parametrize("place", ["file", "gz", "pipe", "http"])
def test_damaged_tar_is_refused_wherever_it_is(tmp_path, make_tar, web, place, source):
    path = Path(make_tar({f"{n}.png": b"0" * 512 for n in range(6)}))
    data = bytearray(path.read_bytes())
    data[3072:3136] = b"x" * 64
    path.write_bytes(data)
    (tmp_path / "a.tar.gz").write_bytes(gzip.compress(bytes(data)))
    urls = {
        "file": str(path),
        "gz": f"{path}.gz",
        "pipe": f"pipe:cat {path}",
        "http": f"{web}/a.tar",
    }
    with pytest.raises(DataError, match="it is damaged, or several tars in one, after member 3"):
        list(source("webdataset", urls=urls[place]).samples())


def test_whole_tar_from_the_web_or_a_pipe_is_read_once(tmp_path, make_tar, web, source):
    path = make_tar({"1.png": b"0", "1.cls": b"2", "2.png": b"0", "2.cls": b"0"})
    for urls in (f"{web}/a.tar", f"pipe:cat {path}", f"file:{path}"):
        found = source("webdataset", urls=urls)
        assert labels(found.samples()) == [2, 0]
        assert list(found.class_names()) == ["0", "1", "2"]


@pytest.mark.parametrize("command", ["false", "cat {} && false", "head -c 600 {}", "no_such_tool"])
def test_command_that_fails_is_an_error(make_tar, command, source):
    path = make_tar({f"{n}.png": b"0" * 512 for n in range(6)})
    with pytest.raises(
        DataError, match="urls: 'pipe:.*cannot be read .(its command ended|unexpected end)"
    ):
        list(source("webdataset", urls=f"pipe:{command.format(path)}").samples())


def test_tar_of_a_mac_has_its_images_and_counts_the_rest(make_tar, caplog, source):
    caplog.set_level(logging.INFO)
    files = {"./d/._0.png": b"x", "./d/0.png": b"0", "__MACOSX/d/._0.png": b"x", "d/.DS_Store": b""}
    (sample,) = source("webdataset", urls=make_tar(files)).samples()
    assert sample.key == "a,tar+d+0"
    assert "3 hidden or system files or folders, e.g. 'd/._0.png'" in caplog.text


def test_tar_of_class_folders_has_the_classes_of_the_folders(make_tar, caplog, source):
    caplog.set_level(logging.INFO)
    path = make_tar({f"photos/{c}/{n}.png": b"0" for c in ("dog", "cat") for n in range(2)})
    found = source("webdataset", urls=path)
    assert found.class_names() == ("cat", "dog")
    assert labels(found.samples()) == [1, 1, 0, 0]
    assert found.num_samples() == 4
    assert "2 classes from folders of" in caplog.text
    assert labels(source("webdataset", urls=path, labels=False).samples()) == [None] * 4


def test_tar_of_the_stylegan_tools_follows_its_dataset_json(make_tar, source):
    files = {f"{n // 2:05d}/img{n:08d}.png": b"0" for n in range(6)}
    null = make_tar(files | {"dataset.json": b'{"labels": null}'}, "null.tar")
    assert source("webdataset", urls=null).class_names() == ()
    listed = b'{"labels": [%s]}' % b",".join(
        b'["%s", %d]' % (f.encode(), n % 2) for n, f in enumerate(files)
    )
    found = source("webdataset", urls=make_tar(files | {"dataset.json": listed}, "l.tar"))
    assert labels(found.samples()) == [0, 1] * 3


def test_labels_are_read_from_json_members(make_tar, source):
    files = {"1.png": b"0", "1.json": b'{"label": 1}', "2.png": b"0", "2.json": b'{"label": "0"}'}
    path = make_tar(files)
    assert labels(source("webdataset", urls=path).samples()) == [1, 0]
    assert labels(source("webdataset", urls=path, label="cls").samples()) == [None, None]
    files = {
        "1.png": b"0",
        "1.json": b'{"kind": "cat"}',
        "2.png": b"0",
        "2.json": b'{"kind": "ape"}',
    }
    found = source("webdataset", urls=make_tar(files, "b.tar"), label="json:kind")
    assert labels(found.samples()) == [1, 0]
    assert found.class_names() == ("ape", "cat")


@pytest.mark.parametrize("content", [b"{", b'{"label": [1]}', b'{"label": 0.5}', b"\xff"])
def test_json_that_holds_no_label_is_named(make_tar, content, source):
    files = {"1.png": b"0", "1.json": content, "2.png": b"0", "2.json": b'{"label": "cat"}'}
    path = make_tar(files)
    for urls in (path, f"pipe:cat {path}"):
        names = {"class_names": ["cat"]} if urls != path else {}
        first, second = source("webdataset", urls=urls, **names).samples()
        assert re.search("Sample '1' of .*a.tar: 'json' is not a label .*to null", first.fault)
        assert second.fields["label"] == 0


def test_json_without_a_label_is_no_label(make_tar, source):
    files = {"1.png": b"0", "1.json": b'{"url": "x"}', "2.png": b"0", "2.json": b"[]"}
    assert labels(source("webdataset", urls=make_tar(files)).samples()) == [None, None]


def test_text_labels_are_classes_in_natural_order(make_tar, source):
    files = {
        "1.png": b"0",
        "1.cls": b"cafe\xcc\x81\n",
        "2.png": b"0",
        "2.cls": b"a10",
        "3.png": b"0",
        "3.cls": b"a9",
    }
    path = make_tar(files)
    found = source("webdataset", urls=path)
    assert found.class_names() == ("a9", "a10", "café")
    assert labels(found.samples()) == [2, 1, 0]
    piped = source("webdataset", urls=f"pipe:cat {path}", class_names=["café", "a9", "a10"])
    assert labels(piped.samples()) == [0, 2, 1]
    with pytest.raises(DataError, match="'café', which class_names lacks. Name all classes: cl"):
        list(source("webdataset", urls=f"pipe:cat {path}").samples())


@pytest.mark.parametrize(
    "files",
    [
        [("1.png", b"0"), ("2.png", b"0"), ("1.cls", b"0")],
        [("1.png", b"0"), ("2.png", b"0"), ("1.png", b"0")],
        [("1.png", b"0"), ("1.png", b"1")],
        [("1.cls", b"0"), ("1.cls", b"1"), ("1.png", b"0")],
    ],
)
def test_members_of_a_sample_that_are_apart_or_twice_are_named(make_tar, files, source):
    with pytest.raises(DataError, match="a.tar has '1.*after other samples, or twice.*--sort=name"):
        list(source("webdataset", urls=make_tar(files)).samples())


def test_numbers_between_dots_belong_to_the_name(make_tar, source):
    files = {"img.1.png": b"0", "img.1.cls": b"1", "img.2.png": b"0", "img.2.cls": b"0"}
    files |= {"img_1.png": b"0", "img_1.cls": b"0"}
    found = list(source("webdataset", urls=make_tar(files)).samples())
    assert labels(found) == [1, 0, 0]
    assert len({s.key for s in found}) == 3


def test_dots_in_a_sentence_belong_to_the_name(make_tar, source):
    names = ("Track 2.0 (Clean Version)", "Mr. Smith", "a.b c")
    files = {f"{name}.{end}": b"1" for name in names for end in ("cls", "png")}
    found = list(source("webdataset", urls=make_tar(files)).samples())
    assert [s.key for s in found] == [
        f"a,tar+{key}" for key in ("Track 2,0 (Clean Version)", "Mr, Smith", "a,b c")
    ]
    assert labels(found) == [1, 1, 1]


def test_image_with_two_extensions_must_be_named(make_tar, source):
    path = make_tar({"1.input.png": b"i", "1.target.png": b"t"})
    with pytest.raises(DataError, match="Sample '1' .* no image .*input.png, target.png.*`image`"):
        list(source("webdataset", urls=path).samples())
    (sample,) = source("webdataset", urls=path, image="target.png").samples()
    assert sample.fields["image"] == b"t"


def test_first_extension_that_is_found_is_the_image(make_tar, source):
    path = make_tar({"1.png": b"p", "1.jpg": b"j"})
    (sample,) = source("webdataset", urls=path, image="jpg;png").samples()
    assert sample.fields["image"] == b"j"
    (sample,) = source("webdataset", urls=path, image="png;jpg").samples()
    assert sample.fields["image"] == b"p"


def test_images_of_one_name_are_a_sample_each_as_in_a_folder(make_tar, source, caplog):
    files = {"a/1.jpg": b"j", "a/1.png": b"p", "a/1.txt": b"both", "a/2.png": b"q", "b/1.png": b"r"}
    path = make_tar(files)
    for urls in (path, f"pipe:cat {path}"):
        found = list(source("webdataset", urls=urls).samples())
        assert [s.fields["image"] for s in found] == [b"j", b"p", b"q", b"r"]
        assert [s.fields.get("caption") for s in found] == ["both", "both", None, None]
        assert [s.key for s in found] == [
            f"a,tar+{k}" for k in ("a+1,jpg", "a+1,png", "a+2", "b+1")
        ]
    assert labels(source("webdataset", urls=path).samples()) == [0, 0, 0, 1]
    assert "further images" not in caplog.text


def test_images_beside_the_one_that_is_named_are_counted(make_tar, source, caplog):
    path = make_tar({"1.png": b"p", "1.jpg": b"j", "1.seg.png": b"s"})
    (sample,) = source("webdataset", urls=path, image="jpg;png").samples()
    assert sample.fields["image"] == b"j"
    assert "2 further images of a sample, e.g. '1.seg.png': name the extension" in caplog.text


def test_tar_reports_what_it_leaves_out(tmp_path, make_tar, helpers, caplog, source):
    caplog.set_level(logging.INFO)
    data = helpers.file_bytes(np.zeros((4, 4, 3), np.uint8))
    files = {"cat/1.png": data, "cat/2": data, "dog/1.jxl": b"0", "more.zip": b"0"}
    files |= {"README.txt": b"0", "LICENSE": b"text", "cat/3.png.part": data}
    path = make_tar(files)
    for urls in (path, f"pipe:cat {path}"):
        caplog.clear()
        assert len(list(source("webdataset", urls=urls).samples())) == 2
        assert "1 images in formats that cannot be read (.jxl 1)" in caplog.text
        assert "1 archives (.zip 1), e.g. 'more.zip'" in caplog.text
        assert "1 backups or unfinished downloads" in caplog.text
        assert "2 other files (" in caplog.text


@pytest.mark.parametrize("prefix", ["", "pipe:cat "])
def test_tar_without_images_says_what_it_holds(make_tar, prefix, source):
    path = make_tar({"1.jxl": b"0", "2.jxl": b"0"})
    with pytest.raises(DataError, match=r"holds no images .*Left out of .*: 2 images .*\(.jxl 2\)"):
        list(source("webdataset", urls=prefix + path).samples())


def test_shards_of_one_name_in_two_folders_have_different_keys(make_tar, tmp_path, source):
    for folder in ("a", "b"):
        (tmp_path / folder).mkdir()
        make_tar({"1.png": b"0"}, f"{folder}/0.tar")
    found = source("webdataset", urls=str(tmp_path / "{a,b}" / "*.tar"))
    assert len({s.key for s in found.samples()}) == 2


def test_members_that_are_too_large_are_refused_unread(make_tar, monkeypatch, source):
    monkeypatch.setattr("ganforge.data.sources.tar_samples.MAX_FILE_BYTES", 10)
    path = make_tar({"1.png": b"0" * 11})
    with pytest.raises(
        DataError, match="'1.png' in .*a.tar has 11 bytes, more than the limit of 10"
    ):
        list(source("webdataset", urls=path).samples())


def test_tar_that_is_missing_names_the_folder_looked_in(tmp_path, monkeypatch, source):
    monkeypatch.chdir(tmp_path)
    with pytest.raises(DataError, match="urls: 'x.tar' cannot be read .*looked in .*. Correct or"):
        list(source("webdataset", urls="x.tar").samples())


def test_extensions_may_be_upper_case_and_labels_end_in_a_newline(make_tar, source):
    path = make_tar({"1.PNG": b"0", "1.CLS": b"3\n", "2.Jpg": b"0", "2.cls": b" 0"})
    found = list(source("webdataset", urls=path).samples())
    assert labels(found) == [3, 0]
    assert [s.formats for s in found] == [{"image": "png"}, {"image": "jpg"}]


def test_links_in_a_tar_are_counted(tmp_path, paint, caplog, source):
    paint(tmp_path / "in" / "1.png")
    (tmp_path / "in" / "2.png").symlink_to("1.png")
    with tarfile.open(tmp_path / "a.tar", "w") as tar:
        tar.add(tmp_path / "in", "in")
    assert len(list(source("webdataset", urls=str(tmp_path / "a.tar")).samples())) == 1
    assert "1 links in an archive, e.g. 'in/2.png'" in caplog.text


def test_labels_that_are_numbers_and_names_are_refused_unless_all_are_named(make_tar, source):
    path = make_tar({"1.png": b"0", "1.cls": b"1", "2.png": b"0", "2.cls": b"."})
    with pytest.raises(DataError, match="Sample '2' .* has the label '.', but Sample '1' .* numb"):
        list(source("webdataset", urls=path).samples())
    assert labels(source("webdataset", urls=path, class_names=[".", "1"]).samples()) == [1, 0]


def test_label_that_is_not_utf8_is_a_fault_of_its_sample(make_tar, source):
    path = make_tar({"1.png": b"0", "1.cls": b"\xff\xfe", "2.png": b"0", "2.cls": b"1"})
    for urls in (path, f"pipe:cat {path}"):
        first, second = source("webdataset", urls=urls).samples()
        assert "Sample '1' of" in first.fault and "'cls' is not a label" in first.fault
        assert second.fault == "" and second.fields["label"] == 1


def test_tar_whose_labels_cannot_be_read_has_only_bad_samples(make_tar, source):
    path = make_tar(
        {f"{top}/{n}.{end}": b"\xff" for top in "ab" for n in "12" for end in ("cls", "png")}
    )
    found = source("webdataset", urls=path)
    assert [bool(sample.fault) for sample in found.samples()] == [True] * 4
    assert found.class_names() == ()


def test_webdataset_caption_that_is_not_utf8_is_a_fault_of_its_sample(make_tar, helpers, source):
    data = helpers.file_bytes(np.zeros((4, 4, 3), np.uint8))
    path = make_tar({"1.png": data, "1.txt": b"\xff\xfe", "2.png": data, "2.txt": b"a cat"})
    first, second = source("webdataset", urls=str(path)).samples()
    assert "'txt' is not a caption" in first.fault
    assert second.fault == "" and second.fields["caption"] == "a cat"


def test_label_that_begins_with_a_byte_order_mark_is_read_without_it(make_tar, source):
    files = {"1.png": b"0", "1.cls": b"0", "2.png": b"0", "2.cls": b"\xef\xbb\xbf1\r\n"}
    found = source("webdataset", urls=make_tar(files))
    assert [s.fields["label"] for s in found.samples()] == [0, 1]


@pytest.mark.parametrize(
    ("content", "fault"),
    [
        (b"version https://git-lfs.github.com/spec/v1", "only a pointer of Git LFS"),
        (b"\x04\x22\x4d\x18", "it is a file packed with lz4"),
        (b"\x89HDF\r\n\x1a\n", "it is an HDF5 file"),
    ],
)
def test_tar_that_is_another_file_says_what_it_is(tmp_path, content, fault, source):
    (tmp_path / "a.tar").write_bytes(content + bytes(600))
    with pytest.raises(DataError, match=f"a.tar' cannot be read .*{fault}"):
        list(source("webdataset", urls=str(tmp_path / "a.tar")).samples())


@pytest.mark.parametrize("at_opening", [True, False])
def test_error_of_any_type_from_a_remote_store_is_named(monkeypatch, source, at_opening):
    class Failing:
        def read(self, size=-1):
            raise KeyError("token")

        def close(self):
            pass

    def open_url(url):
        if at_opening:
            raise KeyError("token")
        return Failing()

    monkeypatch.setattr("ganforge.data.sources.tar_samples.open_patiently", open_url)
    with pytest.raises(DataError, match="urls: 'hf://x/a.tar' cannot be read .'token'"):
        list(source("webdataset", urls="hf://x/a.tar").samples())


def test_server_that_falls_silent_is_an_error_and_no_endless_wait(monkeypatch, source):
    monkeypatch.setattr("ganforge.io.network.TIMEOUT_SEC", 0.2)
    monkeypatch.setattr("ganforge.io.network.PAUSES_SEC", ())
    with socket.create_server(("127.0.0.1", 0)) as server:
        url = f"http://127.0.0.1:{server.getsockname()[1]}/a.tar"
        with pytest.raises(DataError, match="a.tar' cannot be read .*timed out"):
            list(source("webdataset", urls=url).samples())
