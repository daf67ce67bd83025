"""The manifests for SkyPilot and Kubeflow start ganforge as torchrun and the schemas expect.

The keys are those of skypilot 0.14.1 (`sky.utils.schemas`) and of kubeflow-trainer-api 2.3.0, which
are too heavy to install for a test.
"""

import os
import shlex
import subprocess
from pathlib import Path

import pytest
import yaml
from torch.distributed.run import get_args_parser

from ganforge.config.load import load_pipeline

FOLDER = Path(__file__).parents[2] / "cluster"
SKYPILOT = {
    "": {"name", "workdir", "num_nodes", "resources", "file_mounts", "setup", "run", "envs"}
    | {"secrets", "volumes"},
    "resources": {"accelerators", "cpus", "memory", "use_spot", "job_recovery", "image_id", "infra"}
    | {"disk_size", "network_tier"},
}
TRAIN_JOB = {
    "": {"apiVersion", "kind", "metadata", "spec"},
    "spec": {"activeDeadlineSeconds", "initializer", "managedBy", "runtimePatches", "runtimeRef"}
    | {"suspend", "trainer"},
    "spec.trainer": {"args", "command", "env", "image", "numNodes", "numProcPerNode"}
    | {"resourcesPerNode"},
}
POD = {
    "affinity", "containers", "imagePullSecrets", "initContainers", "nodeSelector",
    "schedulingGates", "securityContext", "serviceAccountName", "terminationGracePeriodSeconds",
    "tolerations", "volumes",
}  # fmt: skip


def at(manifest, path):
    for key in filter(None, path.split(".")):
        manifest = manifest[int(key) if key.isdigit() else key]
    return manifest


@pytest.fixture
def skypilot():
    return yaml.safe_load((FOLDER / "skypilot.yaml").read_text())


@pytest.fixture
def train_job():
    return yaml.safe_load((FOLDER / "trainjob.yaml").read_text())


def test_skypilot_manifest_uses_keys_of_its_schema(skypilot):
    for path, allowed in SKYPILOT.items():
        assert set(at(skypilot, path)) <= allowed
    assert isinstance(skypilot["num_nodes"], int)
    assert all(isinstance(value, str) for value in skypilot["envs"].values())


def test_skypilot_manifest_starts_torchrun_on_each_node(skypilot):
    environment = {
        **os.environ,
        **skypilot["envs"],
        "SKYPILOT_NUM_NODES": "2",
        "SKYPILOT_NUM_GPUS_PER_NODE": "8",
        "SKYPILOT_NODE_RANK": "1",
        "SKYPILOT_NODE_IPS": "10.0.0.1\n10.0.0.2",
    }
    shown = 'torchrun() { printf "%s\\n" "$@"; }\n' + skypilot["run"]
    done = subprocess.run(
        ["bash", "-euc", shown], env=environment, capture_output=True, text=True, check=True
    )
    found = get_args_parser().parse_args(done.stdout.splitlines())
    assert (found.nnodes, found.nproc_per_node, found.node_rank) == ("2", "8", 1)
    assert (found.master_addr, found.max_restarts) == ("10.0.0.1", 3)
    assert found.module and found.training_script == "ganforge.run"
    pipeline, *overrides = found.training_script_args
    config = load_pipeline(pipeline, overrides)
    assert config.run_dir == "/mnt/runs/quickstart" and config.train.slots == 16


def test_train_job_manifest_uses_keys_of_its_schema(train_job):
    assert (train_job["apiVersion"], train_job["kind"]) == (
        "trainer.kubeflow.org/v1alpha1",
        "TrainJob",
    )
    for path, allowed in TRAIN_JOB.items():
        assert set(at(train_job, path)) <= allowed
    patch = at(train_job, "spec.runtimePatches.0.trainingRuntimeSpec.template.spec")
    (job,) = patch["replicatedJobs"]
    pod = job["template"]["spec"]["template"]["spec"]
    assert job["name"] == "node" and set(pod) <= POD
    (container,) = pod["containers"]
    # The environment of this container is set in `trainer`, or the webhook refuses the job.
    assert set(container) == {"name", "volumeMounts"} and container["name"] == "node"
    assert {mount["name"] for mount in container["volumeMounts"]} == {
        volume["name"] for volume in pod["volumes"]
    }


def test_train_job_manifest_takes_nodes_and_addresses_from_its_runtime(train_job, monkeypatch):
    trainer = train_job["spec"]["trainer"]
    for name, value in {"NNODES": "2", "NPROC_PER_NODE": "8", "NODE_RANK": "1"}.items():
        monkeypatch.setenv(f"PET_{name}", value)
    monkeypatch.setenv("PET_MASTER_ADDR", "ganforge-node-0-0")
    launcher, *words = trainer["command"]
    found = get_args_parser().parse_args([*words, *trainer["args"]])
    assert launcher == "torchrun" and shlex.join(words) == "--max-restarts=3 -m ganforge.run"
    assert (found.nnodes, found.nproc_per_node, found.node_rank) == ("2", "8", 1)
    assert found.master_addr == "ganforge-node-0-0"
    pipeline, *overrides = found.training_script_args
    config = load_pipeline(pipeline, overrides)
    ranks = trainer["numNodes"] * trainer["numProcPerNode"]
    assert config.train.slots == ranks and config.train.batch_size % ranks == 0
