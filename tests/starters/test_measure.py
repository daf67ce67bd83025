import contextlib
import tempfile
from unittest.mock import Mock

import pytest

from ganforge.errors import DataError
from ganforge.starters import measure as measure_module
from ganforge.starters.measure import _Measured, _Stopwatch, _thread_counts, measure


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

    # Two steps of four images: one with the penalty, one without.
    assert speed.img_per_sec == pytest.approx(8 / speed.seconds, rel=0.01)
    assert (speed.threads, speed.gain) == (None, 1.0)
    assert not list(short.glob("ganforge-*"))
    assert {path.name for path in tmp_path.iterdir()} == {"in", "x.yaml"}


def test_measure_reports_data_that_do_not_work_and_leaves_nothing(short, paint, tmp_path):
    folder = paint("in")
    (folder / "000.png").write_bytes(b"not a picture")

    with pytest.raises(DataError, match=r"000\.png"):
        measure(pipeline(folder, tmp_path))
    assert not list(short.glob("ganforge-*"))


def stopwatch(monkeypatch, counts, seconds_of_step, *, period=2):
    """A stopwatch after its measurement, whose steps of four images last as long as given."""
    clock, active = [0.0], []
    monkeypatch.setattr(measure_module.time, "perf_counter", lambda: clock[0])
    monkeypatch.setattr(measure_module.torch, "set_num_threads", active.append)
    found = _Stopwatch(Mock(), period, counts)
    run = Mock(config=Mock(train=Mock(batch_size=4)))
    with contextlib.suppress(_Measured):
        while clock[0] < 1000:
            clock[0] += seconds_of_step(active[-1] if active else counts[0])
            found.run(run)
    return found, active


@pytest.mark.parametrize(
    ("rates", "threads", "gain"),
    [
        ({8: 80, 4: 60, 2: 40, 1: 20}, None, 1.0),
        ({8: 10, 4: 40, 2: 60, 1: 50}, 2, 6.0),
        ({8: 80, 4: 82, 2: 78.4, 1: 20}, 2, 0.98),
    ],
)
def test_the_fewest_threads_that_are_about_as_fast_as_any_are_chosen(
    monkeypatch, rates, threads, gain
):
    watch, active = stopwatch(monkeypatch, list(rates), lambda count: 4 / rates[count])
    speed = watch.speed()
    assert active == [8, 4, 2, 1] * 2
    assert (speed.threads, speed.gain) == (threads, pytest.approx(gain))
    assert speed.img_per_sec == pytest.approx(rates[threads or 8])
    assert 8 <= speed.seconds < 12


def test_all_cores_are_kept_when_steps_are_too_slow_to_compare_whole_rounds(monkeypatch):
    for seconds_of_step, expected in ((1, 16), (8, 48)):  # a round; as many steps as there is time
        watch, active = stopwatch(
            monkeypatch, [2, 1], lambda count, s=seconds_of_step: s, period=16
        )
        speed = watch.speed()
        assert (speed.threads, active) == (None, [2])
        assert speed.img_per_sec == pytest.approx(4 / seconds_of_step)
        assert speed.seconds == expected


def test_thread_counts_halve_down_to_one_unless_there_is_no_choice(monkeypatch):
    monkeypatch.delenv("GANFORGE_NUM_THREADS", raising=False)
    found = {}
    for cores in (1, 2, 3, 6, 64):
        monkeypatch.setattr("os.sched_getaffinity", lambda pid, cores=cores: set(range(cores)))
        found[cores] = _thread_counts(is_cpu=True)
    assert found == {1: [1], 2: [2, 1], 3: [3, 1], 6: [6, 3, 1], 64: [64, 32, 16, 1]}
    assert _thread_counts(is_cpu=False) == [64]
    monkeypatch.setenv("GANFORGE_NUM_THREADS", "3")
    assert _thread_counts(is_cpu=True) == [3]
