import time

import pytest

from ganforge.interfaces.spec import ImageSpec
from ganforge.planning import measure
from ganforge.planning.measure import measure_phases, this_cluster
from ganforge.training.runtime import Runtime


@pytest.fixture
def runtime():
    return Runtime("fp32")


def test_measured_phase_takes_as_long_as_its_loss(small, runtime, monkeypatch):
    components = small()
    architecture = components.architecture.component
    plain = architecture.generator_terms

    def slow(self, objective, nets, batch):
        time.sleep(0.05)
        return plain(self, objective, nets, batch)

    monkeypatch.setattr(architecture, "generator_terms", slow)
    monkeypatch.setattr(measure, "_RUNS", 2)
    times = measure_phases(components, ImageSpec(16, 16, 1), ("image",), 4, runtime)
    assert set(times) == {"discriminator", "discriminator_r1", "generator"}
    assert times["generator"] > 0.05
    assert min(times.values()) > 0


def test_cpu_has_no_links_that_cost_time(runtime):
    cluster = this_cluster(4, runtime)
    assert str(cluster) == "4xCPU"
    assert cluster.bus_gb_per_sec == float("inf")
