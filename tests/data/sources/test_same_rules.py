"""A folder, a zip and a tar of the same files give the same samples, classes and left-out files."""

import io
import logging
import tarfile
import tempfile
import zipfile
from collections import Counter
from pathlib import Path

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

PNG = b"\x89PNG\r\n\x1a\n" + bytes(24)
KNOWN_FOLDERS = (
    *("cat", "Cat", "dog 1", "dog2", "dog10", "caf\u00e9", "cafe\u0301", "2024", "#1", "\u65e5"),
    *(
        "00000",
        "00001",
        ".git",
        "@eaDir",
        "__MACOSX",
        "$RECYCLE.BIN",
        ".ipynb_checkpoints",
        "train",
    ),
)
KNOWN_FILES = (
    *("1.png", "01.png", "1.jpg", "2.PNG", "10.jpg", "a b.jpeg", "\u00e9.JFIF", "img1", "x.dat"),
    *("._1.png", ".DS_Store", "Thumbs.db", "1.jxl", "2.HEIC", "notes.md", "a.csv", "b.zip"),
    *("1.png.part", "9.png~", "'quoted'.png", "100%.png", "a+b,c.png", "1.npy"),
)
CHARACTERS = st.characters(codec="utf-8", exclude_characters="\0/\\.")
STEM = st.text(CHARACTERS, min_size=1, max_size=8)
FOLDER = st.sampled_from(KNOWN_FOLDERS) | STEM
FILE = st.sampled_from(KNOWN_FILES) | st.builds(
    str.__add__, STEM, st.sampled_from((".png", ".JPG"))
)
PLACE = st.one_of(
    st.tuples(FOLDER, FILE).map("/".join), st.tuples(FOLDER, FOLDER, FILE).map("/".join), FILE
)
TREES = st.sets(PLACE, max_size=15).map(lambda names: sorted({*names, "a/1.png", "z/1.png"}))


def write_everywhere(folder, names):
    """The files as a folder, a zip and a tar."""
    with (
        zipfile.ZipFile(folder / "a.zip", "w") as archive,
        tarfile.open(folder / "a.tar.gz", "w:gz") as tar,
    ):
        for name in names:
            path = folder / "in" / name
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(PNG)
            archive.writestr(name, PNG)
            info = tarfile.TarInfo(name)
            info.size = len(PNG)
            tar.addfile(info, io.BytesIO(PNG))


def without_conflicts(names):
    """The names, but for those below a name that is a file."""
    files = set(names)
    return [n for n in names if not {str(parent) for parent in Path(n).parents} & files]


def summary(source, caplog):
    """Classes, the number of samples of each, and the counts of what is left out."""
    caplog.clear()
    classes, samples = tuple(source.class_names()), list(source.samples())
    assert len({sample.key for sample in samples}) == len(samples)
    texts = [m.partition(": ")[2] for m in caplog.messages if m.startswith("Left out of")]
    counts = sorted(part.split(", e.g.")[0] for text in texts for part in text[:-1].split("; "))
    return classes, Counter(sample.fields.get("label") for sample in samples), counts


@settings(
    max_examples=25,
    derandomize=True,
    deadline=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture],
)
@given(names=TREES)
def test_folder_zip_and_tar_follow_the_same_rules(source, caplog, names):
    caplog.set_level(logging.INFO)
    with tempfile.TemporaryDirectory(ignore_cleanup_errors=True) as made:
        folder = Path(made)
        write_everywhere(folder, without_conflicts(names))
        expected = summary(source("folder", path=str(folder / "in")), caplog)
        assert summary(source("zip", path=str(folder / "a.zip")), caplog) == expected
        assert summary(source("webdataset", urls=str(folder / "a.tar.gz")), caplog) == expected
