"""What a launcher left in the environment is checked before anybody stumbles over it."""

import pytest
import torch

from ganforge.errors import ConfigError
from ganforge.training.launch import check_launch, launch_faults, warn_of_launch

GROUP = {"RANK": "0", "WORLD_SIZE": "2", "MASTER_ADDR": "localhost", "MASTER_PORT": "29500"}


@pytest.mark.parametrize(
    "environ",
    [
        {},
        {"WORLD_SIZE": "1"},
        {"PMI_SIZE": "1"},
        {"GANFORGE_NUM_THREADS": "2", "OMP_NUM_THREADS": "1,2"},
        GROUP | {"LOCAL_RANK": "0", "LOCAL_WORLD_SIZE": "2"},
        GROUP | {"PMI_SIZE": "2"},
        {"SLURM_NTASKS": "4", "SLURM_PROCID": "1"},
        {"ACCELERATE_USE_FSDP": "false", "ACCELERATE_TORCH_DEVICE": "cpu"},
    ],
)
def test_launch_that_can_start_has_no_fault(environ):
    assert list(launch_faults(environ)) == []
    check_launch(environ)


def test_launch_of_a_rank_beyond_the_number_of_processes_is_refused():
    with pytest.raises(ConfigError, match="RANK=2 and WORLD_SIZE=2, but ranks count from 0"):
        check_launch(GROUP | {"RANK": "2"})


@pytest.mark.parametrize(
    "name", ["WORLD_SIZE", "PMI_SIZE", "OMPI_COMM_WORLD_SIZE", "MV2_COMM_WORLD_SIZE"]
)
def test_launch_of_several_processes_without_an_address_names_what_is_missing(name):
    with pytest.raises(ConfigError, match=f"{name}=2.*not RANK, .*MASTER_ADDR.*unset {name}"):
        check_launch({name: "2"})


@pytest.mark.parametrize("name", ["RANK", "LOCAL_RANK"])
def test_launch_with_a_rank_alone_is_refused(name):
    with pytest.raises(ConfigError, match=rf"{name}=0, .*`torchrun`.*unset {name}\."):
        check_launch({name: "0"})


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("RANK", ""),
        ("RANK", "-1"),
        ("WORLD_SIZE", "0"),
        ("LOCAL_WORLD_SIZE", "two"),
        ("MASTER_PORT", "1_0"),
        ("GANFORGE_NUM_THREADS", "auto"),
        ("PMI_SIZE", "²"),
    ],
)
def test_launch_with_a_variable_that_is_no_number_names_it(name, text):
    with pytest.raises(ConfigError, match=f"variable {name} is {text!r}.*unset {name}"):
        check_launch(GROUP | {name: text})


@pytest.mark.parametrize("name", ["FSDP", "DEEPSPEED", "MEGATRON_LM"])
def test_launch_that_shards_parameters_is_refused(name):
    with pytest.raises(ConfigError, match=f"ACCELERATE_USE_{name}=true.*--multi_gpu"):
        check_launch({f"ACCELERATE_USE_{name}": "true"})


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("ACCELERATE_USE_CPU", "maybe"),
        ("ACCELERATE_DYNAMO_USE_FULLGRAPH", "2"),
        ("ACCELERATE_DYNAMO_BACKEND", "nope"),
    ],
)
def test_launch_with_a_value_that_accelerate_refuses_names_the_variable(name, value):
    with pytest.raises(ConfigError, match=f"variable {name} is '{value}'.*Unset it"):
        check_launch({name: value})


@pytest.mark.parametrize(
    ("name", "value"),
    [("ACCELERATE_USE_CPU", "False"), ("ACCELERATE_DYNAMO_BACKEND", "inductor")],
)
def test_launch_with_a_value_that_accelerate_knows_is_accepted(name, value):
    check_launch({name: value})


@pytest.mark.parametrize("device", ["cuda:99", "gpu", "neuron"])
def test_launch_on_a_device_that_is_not_there_is_refused(device):
    with pytest.raises(ConfigError, match=f"ACCELERATE_TORCH_DEVICE={device}.*Unset it"):
        check_launch({"ACCELERATE_TORCH_DEVICE": device})


def test_launch_of_a_rank_whose_gpu_is_hidden_names_what_hides_it(monkeypatch):
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 1)
    check_launch(GROUP | {"LOCAL_RANK": "0"})
    environ = GROUP | {"LOCAL_RANK": "1", "CUDA_VISIBLE_DEVICES": "3"}
    with pytest.raises(ConfigError, match=r"sees only 1 .*: 3\).*--gpus-per-node"):
        check_launch(environ)


def test_launch_by_srun_alone_warns_of_tasks_that_train_alone(caplog):
    warn_of_launch({"SLURM_STEP_NUM_TASKS": "4", "SLURM_PROCID": "1"})
    assert "srun started 4 tasks here, and each trains alone" in caplog.text
    caplog.clear()
    for environ in ({}, {"SLURM_STEP_NUM_TASKS": "1"}, GROUP | {"SLURM_STEP_NUM_TASKS": "4"}):
        warn_of_launch(environ)
    assert not caplog.text


def test_launch_with_an_unknown_address_says_for_what_it_waits(caplog):
    warn_of_launch(GROUP | {"MASTER_ADDR": "no-such-host.invalid"})
    assert "MASTER_ADDR=no-such-host.invalid is a host that" in caplog.text
    caplog.clear()
    warn_of_launch(GROUP)
    assert not caplog.text


def test_launch_with_a_port_that_cannot_be_is_refused():
    check_launch(GROUP | {"MASTER_PORT": "65535"})
    with pytest.raises(ConfigError, match="MASTER_PORT is 99999; ports end at 65535"):
        check_launch(GROUP | {"MASTER_PORT": "99999"})
