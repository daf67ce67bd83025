from dataclasses import replace

import pytest
import torch
from torch import nn
from training.toy import advance, toy_config, toy_run, weights

from ganforge.config.models import PipelineConfig
from ganforge.errors import ConfigError, NonFiniteError, PluginContractError
from ganforge.interfaces.architecture import Phase
from ganforge.interfaces.spec import ImageSpec
from ganforge.layers import MinibatchStdDev
from ganforge.registry.components import resolve
from ganforge.training.build import build_run
from ganforge.training.engine.loop import make_batches
from ganforge.training.engine.step import Stepper
from ganforge.training.preflight import (
    check_groups,
    check_phases,
    choose_slots,
    warn_of_small_slots,
)
from ganforge.training.runtime import Runtime


def test_step_each_phase_changes_exactly_what_it_trains():
    run = toy_run(toy_config(model={"extra_phase_every": 1}))
    for phase in list(run.phases):
        run.phases[:] = [phase]
        before = {n: p.clone() for n, p in parameters(run)}
        advance(run, 1)
        changed = {n.split(".")[0] for n, p in parameters(run) if not torch.equal(before[n], p)}
        assert changed == set(phase.trains)


def parameters(run):
    return [(f"{r}.{n}", p) for r, m in run.nets.modules().items() for n, p in m.named_parameters()]


def test_step_phase_runs_at_the_end_of_its_interval():
    run = toy_run(toy_config(model={"extra_phase_every": 3}))
    seen = []
    for _ in range(7):
        result = advance(run, 1)
        seen.append("loss/encoder/distance" in result.sums)
    assert seen == [False, False, True, False, False, True, False]


def test_step_phase_that_is_not_due_takes_no_optimizer_step():
    # A step with zero gradients would still move the weights by Adam's momentum.
    run = toy_run(toy_config({"slots": 2}, model={"extra_phase_every": 1}))
    batch_size, seen = run.config.train.batch_size, []
    run.architecture.chunks = lambda batch: iter([batch, batch])  # as of a sequence
    encoder = run.phases.pop()

    def due(nimg, chunk):
        seen.append((nimg, chunk))
        return nimg != batch_size and chunk == 1

    run.phases.append(replace(encoder, due=due))
    weight = run.nets.eager("encoder").weight
    steps, moved = [], []
    for _ in range(3):
        before = weight.clone()
        advance(run, 1)
        moved.append(not torch.equal(weight, before))
        steps.append(int(run.optimizers[("encoder",)].state[weight]["step"]))
    assert seen == [(nimg, chunk) for nimg in (0, batch_size, 2 * batch_size) for chunk in (0, 1)]
    assert moved == [True, False, True] and steps == [1, 1, 2]


def test_step_gradient_is_the_mean_over_slots():
    # Without noise or batch statistics, two slots must give the gradient of the joint batch.
    class Mean(nn.Module):
        def __init__(self):
            super().__init__()
            self.weight = nn.Parameter(torch.ones(3))

    def final(slots):
        run = toy_run(toy_config(train={"slots": slots, "optimizer": {"name": "sgd", "lr": 0.5}}))
        network = Mean()
        run.nets._modules["mean"] = network
        data = torch.arange(48.0).view(16, 3)

        def loss(nets, batch):
            slot = int(batch.image.flatten()[0].item() * 0)  # one slot's share of `data`
            count = batch.size
            start = next(shares) * count + slot
            return {"l": (nets["mean"].weight * data[start : start + count]).sum(1).mean()}

        shares = iter(range(slots))
        run.phases[:] = [Phase("mean", ("mean",), loss)]
        run.optimizers.clear()
        run.optimizers[("mean",)] = torch.optim.SGD(network.parameters(), lr=0.5)
        advance(run, 1)
        return network.weight.detach()

    torch.testing.assert_close(final(2), final(1))
    expected = 1 - 0.5 * torch.arange(48.0).view(16, 3).mean(0)
    torch.testing.assert_close(final(4), expected)


def test_step_non_finite_loss_stops_before_any_update():
    run = toy_run(toy_config(train={"slots": 2}, model={"poison_at": 32}))
    advance(run, 2)
    before = weights(run)
    with pytest.raises(NonFiniteError) as caught:
        advance(run, 1)
    where = ("phase 'generator'", "nimg=32", "step 2", "rank 0", "'poison'", "slot 0")
    for part in (*where, "Run the same command with"):
        assert part in str(caught.value)
    for name, parameter in parameters(run):
        if name.startswith("generator"):  # the discriminator's phase came before
            assert torch.equal(parameter, before[f"networks/{name}"]), name


def test_step_clip_bounds_the_update():
    # The gradient of norm g is scaled to 0.01: with plain SGD at rate 1 that is the update.
    config = toy_config(
        train={"grad_clip_norm": 0.01, "optimizer": {"name": "sgd", "lr": 1.0}}, loss="wasserstein"
    )
    run = toy_run(config)
    before = [p.clone() for p in run.nets.eager("discriminator").parameters()]
    result = advance(run, 1)
    assert result.sums["grad_norm/discriminator"] > 0.01
    after = run.nets.eager("discriminator").parameters()
    moved = torch.cat([(a - b).flatten() for a, b in zip(after, before, strict=True)])
    torch.testing.assert_close(moved.norm(), torch.tensor(0.01), rtol=1e-4, atol=0)


def test_step_parameter_without_gradient_counts_as_zero():
    run = toy_run(toy_config(loss={"regularizers": [{"name": "r1", "every": 2}]}))
    advance(run, 2)
    bias = run.nets.eager("discriminator").layers[4].bias  # R1 does not depend on it
    state = run.optimizers[("discriminator",)].state[bias]
    assert state["step"] == 3  # two main updates and the lazy one


@pytest.mark.parametrize(
    ("batch_size", "slots", "ranks", "part"),
    [(16, None, 3, "use a multiple of 3, e.g. 15 or 18"), (16, 4, 3, "number of processes that")],
)
def test_choose_slots_refuses_what_does_not_divide(batch_size, slots, ranks, part):
    config = toy_config(train={"batch_size": batch_size, "slots": slots})
    with pytest.raises(ConfigError, match=f"(?i){part}"):
        choose_slots(config, ranks, None)


def test_choose_slots_defaults_to_ranks_and_keeps_the_checkpoints():
    config = toy_config()
    assert choose_slots(config, 4, None) == 4
    assert choose_slots(config, 2, 8) == 8


@pytest.mark.parametrize(
    ("layer", "num_images", "said"),
    [
        (MinibatchStdDev(8), 4, "groups of 8: it takes groups of 4. Lower train.slots"),
        (MinibatchStdDev(8), 1, "it is always 0"),
        (nn.BatchNorm2d(3), 2, "has 2 images, few for BatchNorm's statistics"),
        (MinibatchStdDev(8), 8, ""),
        (MinibatchStdDev(None), 4, ""),
        (nn.BatchNorm2d(3), 8, ""),
    ],
    ids=lambda value: value if isinstance(value, int) else "",
)
def test_slots_too_small_for_a_networks_statistics_are_said(caplog, layer, num_images, said):
    warn_of_small_slots([nn.Sequential(layer)], num_images)
    assert said in caplog.text and bool(caplog.records) is bool(said)


def test_slots_that_groups_do_not_fill_are_refused():
    modules = [nn.Sequential(MinibatchStdDev(5))]
    check_groups(modules, 10)
    check_groups(modules, 4)  # one group of four
    with pytest.raises(ConfigError, match="has 16 images .*groups of 5. Choose a multiple of 5"):
        check_groups(modules, 16)


def test_check_phases_refuses_unknown_roles_and_repeated_names():
    run = toy_run(toy_config())
    modules = run.nets.modules()
    phase = Phase("p", ("critic",), lambda nets, batch: {})
    with pytest.raises(PluginContractError, match="trains .'critic'.*discriminator"):
        check_phases(run.architecture, [phase], modules)
    with pytest.raises(PluginContractError, match="several phases named .'discriminator'"):
        check_phases(run.architecture, [*run.phases, run.phases[0]], modules)


def test_golden_trace_guards_refactors():
    # Losses of step 20; a refactor of the engine must leave them as they are.
    config = toy_config({"slots": 2}, loss={"regularizers": [{"name": "r1", "every": 4}]})
    run = toy_run(config)
    result = advance(run, 20)
    found = {k: float(v) / result.counts[k] for k, v in result.sums.items() if k.startswith("loss")}
    assert found == pytest.approx(GOLDEN, rel=1e-4)


GOLDEN = {
    "loss/discriminator/adversarial": 1.396024,
    "loss/discriminator_r1/r1": 0.026159,
    "loss/generator/adversarial": 0.685354,
}


def test_step_updates_the_same_weights_in_channels_last():
    # torch's fused Adam on a CPU pairs memory with memory: a gradient or an average in another
    # layout than its parameter would silently move other weights.
    def final(channels_last):
        config = PipelineConfig.model_validate(
            {
                "name": "layouts",
                "model": {"architecture": "dcgan", "base_channels": 4},
                "train": {
                    "batch_size": 8,
                    "precision": "fp32",
                    "compile": False,
                    "channels_last": channels_last,
                    "optimizer": {"lr": 0.01, "eps": 1e-3},
                },
            }
        )
        run = build_run(resolve(config), ImageSpec(16, 16, 3), Runtime("fp32"))
        show_noise(run)
        restored = build_run(resolve(config), ImageSpec(16, 16, 3), Runtime("fp32"))
        snapshot = run.snapshot()
        kept = snapshot.tensors["optimizers"]
        for key, tensor in kept.items():  # files have no layouts
            kept[key] = tensor.contiguous()
        restored.restore(snapshot, "fp32")
        show_noise(restored)
        return restored.nets.eager("discriminator").state_dict()

    def show_noise(run):
        generator = torch.Generator().manual_seed(run.progress.step)
        img = torch.randint(256, (8, 3, 16, 16), generator=generator, dtype=torch.uint8)
        Stepper(run).step(make_batches(run, [{"image": img}]), run.progress)
        run.progress.advance(8)

    torch.testing.assert_close(final(True), final(False), rtol=0, atol=1e-4)


def fp16_run(monkeypatch, **train):
    """A run in fp16 on the CPU, which users may not ask for: it is what a GPU run does."""
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    run = toy_run(toy_config({**train}))
    run.runtime.precision = "fp16"
    return build_run(resolve(run.config), run.spec, run.runtime)


def test_fp16_gradients_are_unscaled_before_they_are_measured_and_used(monkeypatch):
    half = fp16_run(monkeypatch)
    assert half.scalers.keys() == half.optimizers.keys()
    result = advance(half, 1)
    reference = advance(toy_run(toy_config()), 1)
    key = "grad_norm/discriminator"
    torch.testing.assert_close(result.sums[key], reference.sums[key], rtol=2e-2, atol=1e-3)


def test_fp16_goes_on_from_a_checkpoint_of_another_precision(monkeypatch):
    run = toy_run(toy_config())
    advance(run, 1)
    half = fp16_run(monkeypatch)
    half.restore(run.snapshot(), "fp32")
    assert half.progress.step == 1 and half.scalers
    advance(half, 1)


def test_fp16_overflow_skips_the_update_and_lowers_the_scale(monkeypatch):
    run = fp16_run(monkeypatch)
    scaler = run.scalers[("discriminator",)]
    advance(run, 1)
    scaler._scale.fill_(2.0**120)  # any gradient overflows
    before = [p.clone() for p in run.nets.eager("discriminator").parameters()]
    advance(run, 1)
    assert scaler.get_scale() == 2.0**119
    for old, new in zip(before, run.nets.eager("discriminator").parameters(), strict=True):
        assert torch.equal(old, new)
    saved = run.snapshot().state["scalers"]["discriminator"]
    assert saved["scale"] == 2.0**119
