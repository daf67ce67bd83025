import pytest
from PIL import Image
from published import *  # noqa: F403  # the fixtures that publishing and inference share

from ganforge.inference.clips import open_clip
from ganforge.inference.sizes import Sizing
from ganforge.inference.source_images import SourceReader
from ganforge.interfaces.spec import ImageSpec


def opened(video, channels=3, fps=None, skip_bad=False, kind="image", **sizing):
    reader = SourceReader(ImageSpec(8, 8), channels, kind)
    sizing = Sizing("echo", 4, (40, 40), None, **sizing)
    return open_clip(video, reader, sizing, fps, skip_bad)


@pytest.fixture
def folder(tmp_path):
    """Five gray frames; the file names need not be numbers."""
    path = tmp_path / "frames"
    path.mkdir()
    for number in range(5):
        Image.new("RGB", (6, 4), (40 * number,) * 3).save(path / f"frame{number}.png")
    (path / "notes.txt").touch()
    return path
