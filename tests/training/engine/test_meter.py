"""The meter averages over slots and steps since the last log line."""

import pytest
import torch

from ganforge.training.engine import meter as meter_module
from ganforge.training.engine.meter import Meter, memory_gb
from ganforge.training.engine.step import StepResult
from ganforge.training.runtime import Runtime


class Clock:
    now = 100.0

    def __call__(self):
        return self.now


@pytest.fixture(autouse=True)
def idle_machine(monkeypatch):
    """What waits for a core here and now must not reach records that are compared."""
    monkeypatch.setattr(meter_module, "core_wait_sec", lambda: 0.0)


@pytest.fixture
def clock():
    return Clock()


@pytest.fixture
def meter(clock):
    return Meter(Runtime("fp32"), clock)


def result(**values):
    made = StepResult()
    for name, slots in values.items():
        for value in slots:
            made.add(name, torch.tensor(value))
    return made


def test_meter_averages_over_slots_and_the_steps_that_reported(meter):
    meter.add(result(loss=[1.0, 3.0], r1=[8.0, 4.0]), 4, 0.0)
    meter.add(result(loss=[2.0, 6.0]), 4, 0.0)
    record = meter.flush()
    assert (record["loss"], record["r1"]) == (3.0, 6.0)


def test_meter_starts_afresh_after_each_record(meter):
    meter.add(result(loss=[1.0]), 4, 0.0)
    meter.flush()
    meter.add(result(loss=[5.0]), 4, 0.0)
    assert meter.flush()["loss"] == 5.0
    assert "loss" not in meter.flush()


def add(meter, clock, seconds, nimg=30, wait=0.0, **values):
    clock.now += seconds
    meter.add(result(**values), nimg, wait)


def test_meter_measures_speed_and_the_share_of_time_that_waits_for_data(meter, clock):
    add(meter, clock, 60.0, wait=50.0)  # compiles, and starts the readers
    add(meter, clock, 4.0, wait=1.0)
    add(meter, clock, 2.0, wait=0.5)
    record = meter.flush()
    assert record["img_per_sec"] == pytest.approx(10.0)
    assert record["data_wait_fraction"] == pytest.approx(0.25)


def test_meter_measures_the_share_of_time_for_which_a_thread_waits_for_a_core(
    meter, clock, monkeypatch
):
    waited = [0.0]
    monkeypatch.setattr(meter_module, "core_wait_sec", lambda: waited[0])
    monkeypatch.setattr(torch, "get_num_threads", lambda: 2)
    meter.flush()
    for seconds, wait in ((60.0, 50.0), (4.0, 1.0), (2.0, 2.0)):
        waited[0] += wait
        add(meter, clock, seconds)
    assert meter.peek()["core_wait_fraction"] == pytest.approx(0.25)
    assert meter.flush()["core_wait_fraction"] == pytest.approx(0.25)
    waited[0] -= 1.0  # a thread has ended, and its time is gone
    add(meter, clock, 1.0)
    assert meter.flush()["core_wait_fraction"] == 0.0


def test_meter_with_the_first_step_alone_shows_its_speed(meter, clock):
    add(meter, clock, 15.0)
    assert meter.flush()["img_per_sec"] == pytest.approx(2.0)


def test_meter_peeks_at_what_is_new_and_leaves_the_record_as_it_is(clock):
    peeked, plain = Meter(Runtime("fp32"), clock), Meter(Runtime("fp32"), clock)
    seen = []
    for number, loss in enumerate([0.1, 0.7, 0.31, 0.9, 0.53]):
        clock.now += 1.0
        for meter in (peeked, plain):
            extra = {"r1": [3.0 + number]} if number in (1, 4) else {}
            meter.add(result(loss=[loss], **extra), 10 * number, 0.0)
        if number in (1, 3):
            seen.append(peeked.peek())
    assert [record["loss"] for record in seen] == pytest.approx([0.4, 0.605])
    assert seen[0]["r1"] == 4.0 and "r1" not in seen[1]
    assert seen[1]["img_per_sec"] == pytest.approx(25.0)  # 20 and 30 images in 2 seconds
    assert peeked.flush() == plain.flush()  # to the last bit


def test_memory_of_this_process_is_positive_and_in_gibibytes():
    assert 0.01 < memory_gb(torch.device("cpu")) < 1000
