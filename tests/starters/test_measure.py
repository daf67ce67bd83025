import tempfile

import pytest

from ganforge.errors import DataError
from ganforge.starters import measure as measure_module
from ganforge.starters.measure import measure


@pytest.fixture
def short(monkeypatch, tmp_path, tmp_path_factory):
    """A measurement of two steps, in a folder that can be looked at afterwards."""
    monkeypatch.setattr(measure_module, "_SECONDS", 0.0)
    monkeypatch.setattr(measure_module, "_WARMUP_STEPS", 1)
    temporary = tmp_path_factory.mktemp("t")  # sockets of reader processes need a short path
    monkeypatch.setattr(tempfile, "tempdir", str(temporary))
    return temporary


def pipeline(folder, where):
    path = where / "x.yaml"
    path.write_text(f"""
name: x
data: {{source: {{name: folder, path: "{folder}"}}, resolution: 16, channels: 3}}
model: {{architecture: dcgan, base_channels: 4, discriminator_norm: none}}
loss: {{name: hinge, regularizers: [{{name: r1, gamma: 1, every: 2}}]}}
train: {{batch_size: 4, total_kimg: 1}}
""")
    return path


def test_measure_trains_whole_rounds_and_leaves_nothing(short, paint, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    path = pipeline(paint("in"), tmp_path)

    speed = measure(path)

    assert speed.nimg == 8  # two steps: one with the penalty, one without
    assert speed.img_per_sec == pytest.approx(speed.nimg / speed.seconds, rel=0.5)
    assert not list(short.glob("ganforge-*"))
    assert {path.name for path in tmp_path.iterdir()} == {"in", "x.yaml"}


def test_measure_reports_data_that_do_not_work_and_leaves_nothing(short, paint, tmp_path):
    folder = paint("in")
    (folder / "000.png").write_bytes(b"not a picture")

    with pytest.raises(DataError, match=r"000\.png"):
        measure(pipeline(folder, tmp_path))
    assert not list(short.glob("ganforge-*"))
