"""A folder, a zip and a tar of the same files give the same samples, classes and left-out files."""

import logging
import random
from collections import Counter
from pathlib import Path

import pytest

PNG = b"\x89PNG\r\n\x1a\n" + bytes(24)
FOLDERS = [
    *("cat", "Cat", "dog 1", "dog2", "dog10", "café", "cafe\u0301", "2024", "#1", "日本", "x.y"),
    *("00000", "00001", ".git", "@eaDir", "__MACOSX", "$RECYCLE.BIN", ".ipynb_checkpoints"),
]
NAMES = [
    *("1.png", "01.png", "2.PNG", "10.jpg", "a b.jpeg", "é.JFIF", "img_1.png", "img1", "x.dat"),
    *("._1.png", ".DS_Store", "Thumbs.db", "1.jxl", "2.HEIC", "notes.md", "a.csv", "b.zip"),
    *("1.png.part", "9.png~", "'quoted'.png", "100%.png", "a+b,c.png"),
]


def random_files(seed):
    """Relative names, most of them in class folders, with the content of an image."""
    rng = random.Random(seed)
    folders = rng.sample(FOLDERS, rng.randint(1, 5))
    files = set()
    for _ in range(rng.randint(3, 25)):
        parts = [rng.choice(folders), rng.choice(NAMES)]
        if rng.random() < 0.2:
            parts.insert(1, rng.choice(FOLDERS))
        files.add("/".join(parts if rng.random() < 0.97 else parts[-1:]))
    files.add(f"{folders[0]}/always.png" if folders[0][0] not in ".@_$" else "always.png")
    return dict.fromkeys(sorted(files), PNG)


def samples_of(source, caplog):
    """Classes, image names with labels (up to the form of keys), and counts of what is left out."""
    caplog.clear()
    classes = tuple(source.class_names())
    found = Counter(s.fields.get("label") for s in source.samples())
    left = sorted(text.partition("Left out of")[2].partition(": ")[2] for text in caplog.messages)
    counts = sorted(part.split(", e.g.")[0] for text in left for part in text.split("; ") if part)
    return classes, found, counts


@pytest.mark.parametrize("seed", range(12))
def test_folder_zip_and_tar_follow_the_same_rules(
    tmp_path, make_zip, make_tar, source, caplog, seed
):
    caplog.set_level(logging.INFO)
    files = random_files(seed)
    for name, data in files.items():
        path = Path(tmp_path, "in", name)
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(data)
    folder = samples_of(source("folder", path=str(tmp_path / "in")), caplog)
    zipped = samples_of(source("zip", path=make_zip(files)), caplog)
    tarred = samples_of(source("webdataset", urls=make_tar(files, "a.tar.gz", "w:gz")), caplog)
    assert zipped == folder
    assert tarred == folder
