"""A loss that is not finite ends the run, also where it is checked one step later."""

import pytest
import torch
from torch import nn
from training.toy import advance, toy_config, toy_fields, toy_run, weights

from ganforge.errors import NonFiniteError
from ganforge.interfaces.architecture import Phase
from ganforge.training.engine import loop
from ganforge.training.engine.finite import FiniteCheck, PhaseLosses
from ganforge.training.engine.loop import Task, make_batches, train
from ganforge.training.engine.meter import Meter
from ganforge.training.engine.step import Stepper

BATCH = 16


def late_stepper(run):
    """What a GPU's stepper does, on values that are on the CPU."""
    stepper = Stepper(run)
    stepper.finite.late = True
    return stepper


def one_step(run, stepper):
    stepper.step(make_batches(run, toy_fields(run)), run.progress)
    run.progress.advance(BATCH)


def test_late_check_names_the_first_fault_one_step_later():
    run = toy_run(toy_config(train={"slots": 2}, model={"poison_at": 32}))
    stepper = late_stepper(run)
    for _ in range(3):  # the third step is poisoned
        one_step(run, stepper)
    with pytest.raises(NonFiniteError) as caught:
        one_step(run, stepper)
    where = ("phase 'generator'", "nimg=32", "step 2", "rank 0", "'poison' = nan", "slot 0")
    for part in (*where, "Nothing was kept since", "Run the same command with"):
        assert part in str(caught.value)


def test_late_check_trains_like_the_immediate_one():
    late, prompt = toy_run(toy_config()), toy_run(toy_config())
    stepper = late_stepper(late)
    for _ in range(3):
        one_step(late, stepper)
    stepper.finite.settle()
    advance(prompt, 3)
    found, expected = weights(late), weights(prompt)
    assert all(torch.equal(found[k], expected[k]) for k in expected if k.startswith("networks"))


def test_late_check_names_a_gradient_that_is_not_finite():
    run = toy_run(toy_config())
    network = nn.Linear(1, 1, bias=False)
    run.nets._modules["root"] = network
    network.weight.data.zero_()
    # The root of zero is zero, and its slope infinite.
    phase = Phase("root", ("root",), lambda nets, batch: {"r": nets["root"].weight.sum().sqrt()})
    run.phases[:] = [phase]
    run.optimizers[("root",)] = torch.optim.SGD(network.parameters(), lr=0.1)
    stepper = late_stepper(run)
    one_step(run, stepper)
    with pytest.raises(NonFiniteError, match="phase 'root'.*the norm of the gradient = inf"):
        stepper.finite.settle()


class Loader:
    def __init__(self, run):
        self.run = run

    def __iter__(self):
        while True:
            yield toy_fields(self.run)

    def close(self):
        pass


class Keeper(Task):
    """A task that keeps the weights each so many images."""

    def __init__(self, every):
        self.every, self.kept = every, []

    def due(self, run):
        return run.progress.nimg % self.every == 0

    def run(self, run):
        self.kept.append(weights(run))


@pytest.mark.parametrize(("poison_at", "total", "kept"), [(32, 10, 1), (48, 10, 1), (48, 4, 1)])
def test_late_check_comes_before_anything_is_saved(monkeypatch, poison_at, total, kept):
    """Tasks follow every second step; the poisoned one is before a task, has one, or is last."""
    monkeypatch.setattr(loop, "Stepper", late_stepper)
    config = toy_config({"total_kimg": total * BATCH / 1000}, {"poison_at": poison_at})
    run, keeper = toy_run(config), Keeper(2 * BATCH)
    with pytest.raises(NonFiniteError, match=f"nimg={poison_at} "):
        train(run, Loader, Meter(run.runtime), [keeper])
    assert len(keeper.kept) == kept
    assert all(t.isfinite().all() for state in keeper.kept for t in state.values())


def test_late_check_reports_a_fault_in_the_last_step_without_tasks(monkeypatch):
    monkeypatch.setattr(loop, "Stepper", late_stepper)
    run = toy_run(toy_config({"total_kimg": 3 * BATCH / 1000}, {"poison_at": 32}))
    with pytest.raises(NonFiniteError, match="phase 'generator' at nimg=32"):
        train(run, Loader, Meter(run.runtime), ())


@pytest.mark.parametrize("late", [False, True])
def test_check_reports_a_fault_of_another_rank(late):
    check = FiniteCheck(late, rank=1, slots=range(2, 3))
    nan, fine = torch.tensor([float("nan")]), torch.tensor(1.0)
    losses = PhaseLosses("generator", 7, 448, nan, fine, [{"adversarial": fine}])
    with pytest.raises(NonFiniteError, match=r"step 7, rank 1\): a loss on another rank\. N"):
        check.look(losses, list)
        check.settle()


def test_check_accepts_an_overflowing_gradient_in_fp16():
    check = FiniteCheck(True, rank=0, slots=range(1))
    fine = torch.tensor(1.0)
    check.look(PhaseLosses("generator", 0, 0, fine[None], None, [{"a": fine}]), list)
    check.settle()


@pytest.mark.gpu
@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a CUDA device")
def test_step_on_a_gpu_never_synchronizes():
    run = toy_run(toy_config())
    stepper = Stepper(run)
    fields = toy_fields(run)
    one_step(run, stepper)
    batches = make_batches(run, fields)
    torch.cuda.set_sync_debug_mode("error")
    try:
        stepper.step(batches, run.progress)
    finally:
        torch.cuda.set_sync_debug_mode("default")
    stepper.finite.settle()
