import pytest

from ganforge.config.load import load_pipeline
from ganforge.errors import ConfigError, DataError
from ganforge.starters import measure as measure_module
from ganforge.starters.machine import Speed
from ganforge.starters.new import Wishes, new_pipeline


@pytest.fixture(autouse=True)
def here(monkeypatch, tmp_path):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(measure_module, "measure", lambda path: Speed(50.0, 8.0))


def test_new_writes_a_file_and_says_what_to_expect(paint, tmp_path):
    paint("My photos!")
    said = []

    written = new_pipeline(["My photos!"], Wishes(minutes=20), said.append)

    config = load_pipeline(str(written))
    assert str(written) == "My-photos.yaml"
    assert config.name == "My-photos"
    assert config.train.total_kimg == 54
    text = "\n".join(said)
    assert "40 images, 72x64." in text
    assert "50 images/s on" in text
    assert "recognizable at about 30 kimg (10 min)" in text
    assert "too few" not in text


def test_new_says_when_the_minutes_are_too_few(paint):
    paint("in")
    said = []
    new_pipeline(["in"], Wishes(minutes=5), said.append)
    assert "give it --minutes 11 or more" in said[-1]


def test_new_keeps_a_file_that_is_there(paint, tmp_path):
    paint("in")
    (tmp_path / "in.yaml").write_text("mine")

    with pytest.raises(ConfigError, match=r"in\.yaml exists already.*--overwrite"):
        new_pipeline(["in"], Wishes(), print)

    assert (tmp_path / "in.yaml").read_text() == "mine"
    new_pipeline(["in"], Wishes(overwrite=True), lambda line: None)
    assert (tmp_path / "in.yaml").read_text() != "mine"


@pytest.mark.parametrize("out", ["x.txt", "."])
def test_new_refuses_an_output_that_is_no_yaml_file(paint, tmp_path, out):
    paint("in")
    with pytest.raises(ConfigError, match="--out"):
        new_pipeline(["in"], Wishes(out=tmp_path / out), print)


def test_new_writes_nothing_when_the_data_do_not_work(paint, tmp_path, monkeypatch):
    def fail(path):
        raise DataError("no")

    monkeypatch.setattr(measure_module, "measure", fail)
    paint("in")
    with pytest.raises(DataError):
        new_pipeline(["in"], Wishes(), lambda line: None)
    assert not (tmp_path / "in.yaml").exists()


@pytest.mark.parametrize(
    ("threads", "gain", "words"),
    [(1, 2.13, "1 thread is 2.1 times as fast as"), (2, 0.98, "2 threads are about as fast as")],
)
def test_new_writes_the_number_of_threads_where_fewer_are_as_fast(
    paint, monkeypatch, threads, gain, words
):
    monkeypatch.setattr(measure_module, "measure", lambda path: Speed(50.0, 8.0, threads, gain))
    paint("in")
    said = []

    written = new_pipeline(["in"], Wishes(), said.append)

    assert load_pipeline(str(written)).train.cpu_threads == threads
    assert any(line.startswith(words) and line.endswith(" here.") for line in said)
