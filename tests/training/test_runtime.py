"""The runtime refuses what it cannot do, chooses precision and threads, and gathers."""

import json
from pathlib import Path

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


def gather(runtime):
    """What this rank gathers, and by how many bytes its memory grows for a moment."""
    mine = {
        f"{runtime.rank}/images": torch.full((4, 1 << 20), float(runtime.rank)),
        f"{runtime.rank}/transposed": torch.arange(6).view(2, 3).T,
        f"{runtime.rank}/count": torch.tensor(7 + runtime.rank),
    }
    Path("/proc/self/clear_refs").write_text("5")  # the peak starts anew
    before = peak_of_memory()
    found = runtime.gather_on_main(
        mine if runtime.rank < 1 else {**mine, "1/flag": torch.ones(2) > 0}
    )
    grown = peak_of_memory() - before
    images = [found.pop(f"{rank}/images") for rank in range(2) if found]
    return {
        "images": [[*image.shape, image.min().item(), image.max().item()] for image in images],
        "others": {name: tensor.tolist() for name, tensor in found.items()},
        "grown": grown,
    }


def peak_of_memory():
    status = Path("/proc/self/status").read_text()
    return 1024 * int(status.split("VmHWM:")[1].split()[0])


@pytest.mark.dist
def test_tensors_are_gathered_on_rank_zero_alone(two_ranks):
    first, second = (json.loads((two_ranks / f"gather-{n}.json").read_text()) for n in range(2))
    assert first["images"] == [[4, 1 << 20, 0.0, 0.0], [4, 1 << 20, 1.0, 1.0]]
    assert first["others"] == {
        "0/transposed": [[0, 3], [1, 4], [2, 5]],
        "1/transposed": [[0, 3], [1, 4], [2, 5]],
        "0/count": 7,
        "1/count": 8,
        "1/flag": [True, True],
    }
    assert second["images"] == [] and second["others"] == {}
    image_bytes = 4 << 22
    assert second["grown"] < image_bytes / 4 < first["grown"] < 1.5 * image_bytes


def test_trackers_that_are_unknown_are_refused_with_near_names():
    check_trackers(["tensorboard"])
    with pytest.raises(ConfigError, match="'tensorbord' is no tracker. Did you mean 'tensorboa"):
        check_trackers(["tensorbord"])


def test_trackers_whose_package_is_missing_are_refused(monkeypatch):
    monkeypatch.setattr("accelerate.tracking.get_available_trackers", lambda: [])
    with pytest.raises(ConfigError, match="package of 'wandb' is not installed. Install it"):
        check_trackers(["wandb"])


def test_runtime_names_an_address_that_is_in_use(monkeypatch):
    def refuse(**options):
        raise torch.distributed.DistNetworkError("port: 29500, address already in use\n#0 trace")

    monkeypatch.setattr("accelerate.Accelerator", refuse)
    with pytest.raises(ConfigError, match=r"address already in use\).*main_process_port 29501"):
        Runtime()
