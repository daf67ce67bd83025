import pytest
from preparing import config, noise, run, save

from ganforge.errors import ConfigError
from ganforge.planning import data_rate, measure
from ganforge.planning.gpus import GPUS, Cluster
from ganforge.planning.pipeline import plan_measured, plan_pipeline


@pytest.fixture(autouse=True)
def short(monkeypatch):
    monkeypatch.setattr(data_rate, "_SECONDS", 0.02)


def test_plan_of_a_file_without_data_says_what_it_assumes(small):
    plan = plan_pipeline(small(), Cluster(2, GPUS["H100"]), price=2.0)
    assert (plan.steps, plan.micro_batch, plan.slots_per_rank) == (8, 4, 1)
    assert plan.basis == "roofline, bf16"
    assert not plan.loading.is_measured
    assert "made-up photograph" in plan.notes[0]
    assert plan.price > 0


def test_plan_of_prepared_data_reads_them(small, tmp_path):
    for number in range(20):
        save(tmp_path / "photos" / f"{number}.png", noise(16, 16, 1)[..., 0])
    run(config(str(tmp_path / "photos")), tmp_path / "shards")
    components = small(data={"shards": str(tmp_path / "shards")})
    plan = plan_pipeline(components, Cluster(1, GPUS["H100"]))
    assert plan.loading.is_measured
    assert plan.notes == ()


def test_gpu_without_bf16_counts_float32_and_says_so(small):
    plan = plan_pipeline(small(), Cluster(1, GPUS["V100"]))
    assert plan.basis == "roofline, fp32"
    assert "fp16 may be faster" in plan.notes[0]
    forced = plan_pipeline(small(train={"precision": "bf16"}), Cluster(1, GPUS["V100"]))
    assert "only emulated" in forced.notes[0]
    assert forced.basis == "roofline, fp32"


def test_ranks_that_do_not_divide_the_batch_are_refused(small):
    with pytest.raises(ConfigError, match=r"train.batch_size=8 cannot be cut into 3"):
        plan_pipeline(small(), Cluster(3, GPUS["H100"]))


def test_file_without_a_size_and_data_is_refused(small):
    with pytest.raises(ConfigError, match=r"data.resolution is not set.*prepare the data first"):
        plan_pipeline(small(data={"channels": 1}), Cluster(1, GPUS["H100"]))


def test_measured_plan_is_of_this_machine(small, monkeypatch):
    monkeypatch.setattr(measure, "_RUNS", 1)
    plan = plan_measured(small(train={"precision": "fp32"}), 2)
    assert plan.basis == "measured on this machine, fp32"
    assert plan.gpus.startswith("2x")
    assert {phase.name for phase in plan.phases} == {
        "discriminator",
        "discriminator_r1",
        "generator",
    }
    assert all(phase.compute_sec > 0 for phase in plan.phases)
    assert plan.all_reduce_share < 0.9
