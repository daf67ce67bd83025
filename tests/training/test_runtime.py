"""The runtime refuses what it cannot do, and chooses precision and threads."""

import pytest
import torch

from ganforge.errors import ConfigError, DataError
from ganforge.training import runtime
from ganforge.training.runtime import Runtime, check_trackers


@pytest.mark.parametrize("variable", ["ACCELERATE_USE_FSDP", "ACCELERATE_USE_DEEPSPEED"])
def test_runtime_refuses_sharded_training(monkeypatch, variable):
    monkeypatch.setenv(variable, "true")
    with pytest.raises(ConfigError, match="selects (FSDP|DeepSpeed).*accelerate config"):
        Runtime()


@pytest.mark.skipif(torch.cuda.is_available(), reason="fp16 works on CUDA")
def test_runtime_refuses_fp16_on_cpu():
    with pytest.raises(ConfigError, match="train.precision=fp16 needs a CUDA.*Use auto"):
        Runtime("fp16")


@pytest.mark.parametrize(("bf16", "expected"), [(True, "bf16"), (False, "fp32")])
def test_runtime_auto_follows_the_hardware(monkeypatch, caplog, bf16, expected):
    monkeypatch.setattr(runtime, "has_bf16", lambda device: bf16)
    caplog.set_level("INFO")
    assert Runtime().precision == expected
    assert f"Precision: {expected} (auto" in caplog.text


def test_runtime_auto_takes_what_every_rank_has(monkeypatch):
    monkeypatch.setattr(runtime, "has_bf16", lambda device: True)
    monkeypatch.setattr(Runtime, "gather_object", lambda self, value: [value, False])
    assert Runtime().precision == "fp32"


def test_on_main_returns_the_result_and_raises_the_error_of_rank_zero():
    here = Runtime("fp32")
    assert here.on_main(lambda: 3) == 3

    def fail():
        raise DataError("no images")

    with pytest.raises(DataError, match="no images"):
        here.on_main(fail)


def test_collectives_of_one_rank_return_what_they_get():
    here, tensor = Runtime("fp32"), torch.arange(3.0)
    assert torch.equal(here.all_reduce_sum(tensor), tensor)
    assert torch.equal(here.gather(tensor), tensor)
    assert here.gather_object("a") == ["a"] and here.broadcast_object("a") == "a"
    assert here.any_rank(True) and not here.any_rank(False)


def test_trackers_that_are_unknown_are_refused_with_near_names():
    check_trackers(["tensorboard"])
    with pytest.raises(ConfigError, match="'tensorbord' is no tracker. Did you mean 'tensorboa"):
        check_trackers(["tensorbord"])


def test_trackers_whose_package_is_missing_are_refused(monkeypatch):
    monkeypatch.setattr("accelerate.tracking.get_available_trackers", lambda: [])
    with pytest.raises(ConfigError, match="package of 'wandb' is not installed. Install it"):
        check_trackers(["wandb"])
