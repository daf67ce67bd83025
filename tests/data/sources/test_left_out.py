import logging

import pytest

from ganforge.data.sources import left_out as reasons
from ganforge.data.sources.left_out import LeftOut, system_part

LEFT_BY_SYSTEMS = [
    *(".ipynb_checkpoints", ".thumbnails", ".git", ".Trash-1000", ".AppleDouble", ".DS_Store"),
    *("@eaDir", "@EADIR", "@SynoResource", "#recycle", "#snapshot", "@Recycle", ".@__thumb"),
    *("$RECYCLE.BIN", "RECYCLER", "System Volume Information", "Thumbs.db", "desktop.ini"),
    *("__MACOSX", "._1.png", "Icon\r", "lost+found", "found.000", "LOST.DIR", "__pycache__"),
    *("~$cats.docx", "Thumbs.db:encryptable", "Network Trash Folder", "__meta__"),
]


@pytest.mark.parametrize("name", LEFT_BY_SYSTEMS)
def test_system_part_knows_what_systems_leave_behind(name):
    assert system_part(name) == name
    assert system_part(f"cat/{name}/x/1.png") == f"cat/{name}"


@pytest.mark.parametrize(
    "name",
    ["cat/1.png", "found/1.png", "recycle/bin.png", "$5/1.png", "_x_/1.png", "a.b/@1/#2.png"],
)
def test_system_part_leaves_ordinary_names_alone(name):
    assert system_part(name) is None


def test_left_out_counts_by_reason_and_extension_with_an_example_and_advice():
    left_out = LeftOut("photos")
    for number in range(3):
        left_out.add(reasons.FORMAT, f"cat/{number}.AVIF")
    left_out.add(reasons.FORMAT, "cat/1.heic")
    left_out.add(reasons.OTHER, "cat/README")
    assert list(left_out.messages({"cat"})) == [
        (
            logging.WARNING,
            "Left out of photos: 4 images in formats that cannot be read (.avif 3, .heic 1), e.g. "
            "'cat/0.AVIF': convert them to PNG or JPEG.",
        ),
        (
            logging.INFO,
            "Left out of photos: 1 other files (no extension 1), e.g. 'cat/README'.",
        ),
    ]


def test_left_out_counts_a_hidden_folder_once_whatever_it_holds():
    left_out = LeftOut("photos")
    for name in ("cat/@eaDir/1.png", "cat/@eaDir/x/2.png", ".DS_Store"):
        left_out.add(reasons.HIDDEN, name)
    assert left_out.counts[reasons.HIDDEN] == 2
    assert "2 hidden or system files or folders, e.g. 'cat/@eaDir'" in str(
        list(left_out.messages(set()))
    )


def test_left_out_names_folders_without_an_image():
    left_out = LeftOut("photos")
    for name in ("cat", "dog", "bird"):
        left_out.add_folder(name)
    left_out.add(reasons.FORMAT, "dog/1.avif")
    level, text = next(left_out.messages({"cat"}))
    assert level == logging.WARNING
    assert "of photos without a usable image: 'dog' (holds only .avif 1), 'bird' (holds no" in text


def test_left_out_logs_possible_losses_as_warnings_only(caplog):
    caplog.set_level(logging.INFO)
    left_out = LeftOut("photos")
    left_out.add(reasons.HIDDEN, ".DS_Store")
    left_out.add(reasons.BROKEN, "1.txt")
    left_out.log(set())
    assert [(r.levelname, r.getMessage()) for r in caplog.records] == [
        ("WARNING", "Left out of photos: 1 broken links, e.g. '1.txt': restore their targets."),
        ("INFO", "Left out of photos: 1 hidden or system files or folders, e.g. '.DS_Store'."),
    ]
