from dataclasses import replace

import pytest
from planning.made_up import H100, RATE, SECONDS, WORK, config, plan

from ganforge.planning.gpus import Cluster
from ganforge.planning.plan import all_reduce_sec, make_plan, memory_of


def test_memory_is_four_bytes_of_each_number_and_the_largest_phase():
    memory = memory_of(WORK)
    assert (memory.weights, memory.averaged_weights) == (12_000_000, 8_000_000)
    assert (memory.optimizer, memory.gradients) == (24_000_000, 4_000_000)
    assert memory.activations == 46_000_000
    assert memory.total == 94_000_000 + memory.reserved


def test_step_adds_the_phases_by_how_often_they_run():
    found = plan(Cluster(1, H100), 16)
    assert found.steps == 10_000
    assert found.sec_per_kimg == pytest.approx(16 * (0.1 + 0.2 / 2) / 64 * 1000, rel=1e-3)
    assert found.all_reduce_share == 0


def test_more_gpus_divide_the_slots_and_reduce_gradients():
    one, sixteen = plan(Cluster(1, H100), 16), plan(Cluster(16, H100), 1)
    assert one.sec_per_kimg / sixteen.sec_per_kimg == pytest.approx(16, rel=0.05)
    assert 0 < sixteen.all_reduce_share < 0.05


def test_reduction_moves_twice_the_gradients_over_the_slowest_link():
    eight, many = (all_reduce_sec(10**9, Cluster(n, H100)) for n in (8, 64))
    assert eight == pytest.approx(2 * 7 / 8 / (450 * 0.7), rel=0.02)
    assert many / eight == pytest.approx(9 * (63 / 64) / (7 / 8), rel=0.02)
    assert all_reduce_sec(10**9, Cluster(1, H100)) == 0


def test_loader_needs_workers_for_the_images_of_its_rank():
    found = plan(Cluster(1, H100), 16).loading  # 20 images a second
    assert found.images_per_sec == pytest.approx(20, rel=0.01)
    assert found.mb_per_sec == pytest.approx(1, rel=0.01)
    assert (found.workers_needed, found.is_enough) == (1, True)
    slow = make_plan(
        config(), WORK, Cluster(1, H100), 16, replace(RATE, samples_per_sec=2), measured=SECONDS
    ).loading
    assert (slow.workers, slow.workers_needed, slow.is_enough) == (8, 10, False)


def test_stalls_count_what_the_file_says():
    found = plan(Cluster(1, H100), 16)
    assert found.checkpoints.count == 10
    assert found.checkpoints.sec_each == pytest.approx(0.044)
    assert found.evaluations.count == 1
    given = config().model_copy(update={"stages": ("train",)})
    assert plan(Cluster(1, H100), 16, given).evaluations.count == 0


def test_price_is_that_of_all_gpus_and_hours():
    found = plan(Cluster(16, H100), 1, price=2.0)
    assert found.price == pytest.approx(2 * 16 * found.days * 24)
    assert plan(Cluster(16, H100), 1).price is None


def test_too_little_memory_is_seen():
    assert plan(Cluster(1, H100), 16).fits
    assert not plan(Cluster(1, replace(H100, memory_gb=1)), 16).fits
