"""The meter averages over slots and steps since the last log line."""

import pytest
import torch

from ganforge.training.engine import meter as module
from ganforge.training.engine.meter import Meter, memory_gb
from ganforge.training.engine.step import StepResult
from ganforge.training.runtime import Runtime


@pytest.fixture
def meter():
    return Meter(Runtime("fp32"))


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


def test_meter_measures_speed_and_the_share_of_time_that_waits_for_data(meter, monkeypatch):
    meter.add(result(), 30, 1.0)
    meter.add(result(), 30, 0.5)
    monkeypatch.setattr(module.time, "perf_counter", lambda: meter._start + 6.0)
    record = meter.flush()
    assert record["img_per_sec"] == pytest.approx(10.0)
    assert record["data_wait_fraction"] == pytest.approx(0.25)


def test_memory_of_this_process_is_positive_and_in_gibibytes():
    assert 0.01 < memory_gb(torch.device("cpu")) < 1000
