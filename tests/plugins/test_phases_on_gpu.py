"""Each architecture trains and generates on a GPU without a GPU: tests/plugins/fake_gpu.py.

A tensor that is left on the CPU, a value that the host reads, or a copy from host to GPU in a step
is an error there. On a GPU it would be one too, or make the host wait.
"""

import json
import subprocess
import sys
from pathlib import Path

import pytest
from torch.utils import backend_registration

from ganforge.api import Architecture
from ganforge.registry.plugins import get_registry

pytestmark = pytest.mark.xdist_group("fake_gpu")
# Convolutions and their gradients in the costliest phase of the smallest model; a bit above what is
# needed, so that a layer that does its work twice is seen.
CEILINGS = {
    "acgan": 20,
    "biggan": 58,
    "cgan": 0,
    "cut": 72,
    "cyclegan": 80,
    "dcgan": 16,
    "everybody_dance_now": 62,
    "gan_int_cls": 30,
    "lapgan": 12,
    "pix2pix": 19,
    "pix2pix_hd": 42,
    "projected_gan": 100,
    "r3gan": 100,
    "resnet_gan": 30,
    "sngan": 37,
    "stylegan": 52,
    "stylegan2": 84,
    "stylegan3": 90,
    "unit": 125,
    "vanilla": 0,
    "vid2vid": 206,
}
OBJECTIVES = (
    "ada",
    "diffaugment",
    "mismatched_pairs",
    "mixed penalties",
    "penalties",
    "relativistic",
    "two slots",
    "unrolling",
)


def test_every_architecture_has_a_ceiling():
    # BigGAN-deep has the phases of BigGAN, and four times its layers.
    registry = get_registry()
    names = registry.names(Architecture)
    plugins = {n: registry.plugin_of(registry.find(Architecture, n)) for n in names}
    built_in = {n for n, plugin in plugins.items() if plugin.distribution == "ganforge"}
    assert {*CEILINGS, "biggan_deep"} == built_in


@pytest.fixture(scope="module")
def found():
    """What fake_gpu.py prints, by name."""
    if not hasattr(backend_registration, "_setup_privateuseone_for_python_backend"):
        pytest.skip("this torch has no place for a backend in Python; 2.11 has")
    worker = Path(__file__).with_name("fake_gpu.py")
    command = [sys.executable, str(worker), *CEILINGS, *OBJECTIVES]
    done = subprocess.run(command, capture_output=True, text=True, timeout=600)
    assert done.returncode == 0, done.stderr[-3000:]
    return {line["name"]: line for line in map(json.loads, done.stdout.splitlines())}


def test_fake_gpu_refuses_what_a_gpu_refuses_or_waits_for(found):
    assert found["refusals"]["refused"] == found["refusals"]["all"] != []


@pytest.mark.parametrize("name", [*CEILINGS, *OBJECTIVES])
def test_step_keeps_all_tensors_on_the_gpu(found, name):
    assert "fault" not in found[name], found[name]["fault"]


@pytest.mark.parametrize("name", CEILINGS)
def test_phases_need_few_convolutions(found, name):
    counts = found[name]["convolutions"]

    assert max(counts.values()) <= CEILINGS[name], counts
    assert max(counts.values()) >= 0.8 * CEILINGS[name], "lower the ceiling"
