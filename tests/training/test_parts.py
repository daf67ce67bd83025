import copy
import json
import math
import re
import sys

import pytest
import torch
from torch import nn
from training.toy import SPEC, toy_config, toy_run

from ganforge.config.models import HealthConfig, OptimizerConfig, ScheduleConfig, TrainConfig
from ganforge.errors import ConfigError
from ganforge.interfaces.architecture import Phase
from ganforge.training.build import choose_compile, to_channels_last
from ganforge.training.engine.ema import Ema
from ganforge.training.engine.make_batch import make_batch
from ganforge.training.engine.optimizers import build_optimizer, build_optimizers, scale_for_lazy
from ganforge.training.engine.progress import Progress, lr_factor, slot_seed
from ganforge.training.runtime import Runtime, refuse_sharded_training
from ganforge.training.tasks.health import HealthMonitor, Kinds, diversity, features
from ganforge.training.tasks.logs import JsonLines


def test_slot_seed_is_pinned_and_differs_in_every_argument():
    seeds = {
        slot_seed(*a)
        for a in ((0, 0, "a", 0), (1, 0, "a", 0), (0, 1, "a", 0), (0, 0, "b", 0), (0, 0, "a", 1))
    }
    assert len(seeds) == 5
    assert all(0 <= seed < 2**63 for seed in seeds)
    assert slot_seed(0, 0, "generator/0", 0) == 645761061778669328


def test_progress_crosses_each_multiple_once_whatever_the_batch_size():
    progress, crossed = Progress(), []
    for _ in range(10):
        progress.advance(300)
        if progress.crossed(1, 300):
            crossed.append(progress.nimg)
    assert crossed == [1200, 2100, 3000]


@pytest.mark.parametrize(
    ("schedule", "kimg", "expected"),
    [
        ({"name": "constant"}, 5, 1.0),
        ({"name": "constant", "warmup_kimg": 10}, 5, 0.5),
        ({"name": "linear"}, 25, 0.75),
        ({"name": "linear", "decay_start_kimg": 50}, 75, 0.5),
        ({"name": "linear", "final_factor": 0.2}, 100, 0.2),
        ({"name": "cosine"}, 50, 0.5),
        ({"name": "cosine", "decay_end_kimg": 50}, 60, 0.0),
        ({"name": "cosine"}, 25, (1 + math.cos(math.pi / 4)) / 2),
    ],
)
def test_lr_factor_follows_the_schedule(schedule, kimg, expected):
    factor = lr_factor(ScheduleConfig(**schedule), kimg * 1000, total_kimg=100)
    assert factor == pytest.approx(expected)


def test_ema_halves_the_distance_in_one_halflife():
    live = nn.Linear(1, 1, bias=False)
    live.weight.data.fill_(0.0)
    ema = Ema({"generator": live}, ["generator"], halflife_kimg=1.0, rampup=None)
    live.weight.data.fill_(1.0)
    for step in range(10):
        ema.update((step + 1) * 100, 100)
    torch.testing.assert_close(ema.networks["generator"].weight.data, torch.tensor([[0.5]]))


def test_ema_rampup_shortens_the_halflife_to_a_part_of_the_progress():
    ema = Ema({"g": nn.Linear(1, 1)}, ["g"], halflife_kimg=10.0, rampup=0.05)
    assert ema.decay(nimg=20_000, batch_size=1000) == pytest.approx(0.5)  # 0.05 * 20k = 1000
    assert ema.decay(nimg=10**9, batch_size=1000) == pytest.approx(0.5**0.1)


def test_ema_copies_buffers_and_zero_halflife_copies_all():
    live = nn.BatchNorm1d(2)
    ema = Ema({"g": live}, ["g"], halflife_kimg=0.0, rampup=None)
    live.running_mean.fill_(3.0)
    live.weight.data.fill_(2.0)
    ema.update(64, 64)
    averaged = ema.networks["g"]
    assert torch.equal(averaged.running_mean, live.running_mean)
    torch.testing.assert_close(averaged.weight.data, live.weight.data)
    assert not averaged.training and not averaged.weight.requires_grad


def test_scale_for_lazy_follows_the_papers_constants():
    # StyleGAN2, app. B: interval 16 gives c = 16/17 on the rate, and beta ** c.
    phases = [
        Phase("main", ("d",), lambda nets, batch: {}),
        Phase("r1", ("d",), lambda nets, batch: {}, every=16, lazy=True),
    ]
    scaled = scale_for_lazy(OptimizerConfig(lr=0.002, betas=(0.0, 0.99)), phases)
    assert scaled.lr == pytest.approx(0.002 * 16 / 17)
    assert scaled.betas == (0.0, pytest.approx(0.99 ** (16 / 17)))


@pytest.mark.parametrize("name", ["adam", "adamw", "rmsprop", "sgd"])
def test_build_optimizer_matches_the_plain_form(name):
    config = OptimizerConfig(name=name, lr=0.1, weight_decay=0.01)
    fast = nn.Parameter(torch.tensor([1.0, -2.0]))
    slow = copy.deepcopy(fast)
    plain = {
        "adam": lambda p: torch.optim.Adam(p, 0.1, betas=(0.5, 0.999), weight_decay=0.01),
        "adamw": lambda p: torch.optim.AdamW(p, 0.1, betas=(0.5, 0.999), weight_decay=0.01),
        "rmsprop": lambda p: torch.optim.RMSprop(p, 0.1, weight_decay=0.01),
        "sgd": lambda p: torch.optim.SGD(p, 0.1, weight_decay=0.01),
    }[name]([slow])
    ours = build_optimizer(config, [fast])
    for _ in range(3):
        for parameter, optimizer in ((fast, ours), (slow, plain)):
            parameter.grad = parameter.detach() ** 2
            optimizer.step()
    torch.testing.assert_close(fast, slow)


def test_build_optimizers_refuses_an_unknown_role_with_near_names():
    run = toy_run(toy_config())
    config = TrainConfig(optimizers={"discriminater": OptimizerConfig(lr=1.0)})
    with pytest.raises(ConfigError, match="Did you mean 'discriminator'"):
        build_optimizers(run.architecture, run.phases, run.nets.modules(), config)


def test_optimizer_override_keeps_fields_that_are_not_set():
    merged = OptimizerConfig(lr=1.0, betas=(0.0, 0.9)).override(None, OptimizerConfig(lr=2.0))
    assert (merged.lr, merged.betas) == (2.0, (0.0, 0.9))


def test_make_batch_maps_bytes_to_the_unit_range_and_labels_to_one_hot():
    spec = SPEC.__class__(2, 2, 1, class_names=("a", "b", "c"))
    fields = {
        "image": torch.tensor([[[[0, 255], [51, 204]]]], dtype=torch.uint8),
        "deep": torch.tensor([[[[0, 65535]]]], dtype=torch.int32),
        "label": torch.tensor([2]),
    }
    batch = make_batch(fields, spec, torch.device("cpu"))
    torch.testing.assert_close(batch.image, torch.tensor([[[[-1.0, 1.0], [-0.6, 0.6]]]]))
    torch.testing.assert_close(batch["deep"], torch.tensor([[[[-1.0, 1.0]]]]))
    assert torch.equal(batch.label, torch.tensor([[0.0, 0.0, 1.0]]))


def test_diversity_is_the_mean_distance_and_zero_for_copies():
    assert diversity(torch.ones(4, 1, 8, 8)) == 0.0
    pair = torch.stack([torch.ones(1, 4, 4), -torch.ones(1, 4, 4)])
    assert diversity(pair) == pytest.approx(2.0)


def test_health_monitor_sounds_collapse_once_until_it_clears():
    real = torch.randn(8, 1, 4, 4, generator=torch.Generator().manual_seed(0))
    monitor = HealthMonitor(HealthConfig(min_diversity=0.2), real)
    good, bad = real.flip(0), torch.zeros(8, 1, 4, 4)
    assert monitor.observe_samples(good) == []
    assert [a.kind for a in monitor.observe_samples(bad)] == ["collapse"]
    assert monitor.observe_samples(bad) == []
    monitor.observe_samples(good)
    other = HealthMonitor(HealthConfig(min_diversity=0.2), real)
    other.load_state_dict(json.loads(json.dumps(monitor.state_dict())))
    assert [a.kind for a in other.observe_samples(bad)] == ["collapse"]


def clusters(num, kinds, seed):
    """Images [num, 1, 4, 4] scattered a little round the given ones of eight distinct images."""
    generator = torch.Generator().manual_seed(seed)
    centres = torch.randn(8, 1, 4, 4, generator=torch.Generator().manual_seed(0))
    which = torch.tensor(kinds)[torch.arange(num) % len(kinds)]
    return centres[which] + 0.05 * torch.randn(num, 1, 4, 4, generator=generator)


@pytest.mark.parametrize("kinds", [[0], [2, 5], [0, 1, 2, 3], list(range(8))])
def test_kinds_drawn_is_the_part_of_modes_that_samples_show(kinds):
    real, gen = features(clusters(128, range(8), 1)), features(clusters(64, kinds, 2))
    assert Kinds(real).drawn(gen) == pytest.approx(len(kinds) / 8, abs=0.1)


def test_kinds_drawn_does_not_ask_for_quality():
    real, gen = features(clusters(128, range(8), 1)), features(clusters(64, range(8), 2))
    blurred = 0.5 * gen + 0.2 * torch.randn(gen.shape, generator=torch.Generator().manual_seed(3))
    assert Kinds(real).drawn(blurred) > 0.9


def test_kinds_are_the_clusters_and_count_only_with_a_fair_part_of_the_samples():
    real = torch.tensor([[0.0]] * 4 + [[10.0]] * 8)  # 3 kinds for 12 samples, one of them empty
    kinds = Kinds(real)
    assert kinds.drawn(real) == 1.0
    # A third of the data: a fair part is a quarter of that, 2 of 24.
    one, two = (torch.tensor([[1.0]] * n + [[9.0]] * (24 - n)) for n in (1, 2))
    assert kinds.drawn(one) == pytest.approx(2 / 3)
    assert kinds.drawn(two) == 1.0


def look(monitor, *parts):
    """Show samples of so many of eight kinds; whether each look sounds a collapse."""
    images = (clusters(64, range(part), 9 + index) for index, part in enumerate(parts))
    return [any(a.kind == "collapse" for a in monitor.observe_samples(img)) for img in images]


def lost_modes_monitor():
    return HealthMonitor(HealthConfig(min_diversity=0.0), clusters(128, range(8), 1))


@pytest.mark.parametrize(
    ("parts", "expected_at"),
    [
        ([1, 1, 2, 2, 3, 5, 8, 8], None),  # as every healthy run begins
        ([8, 8, 2, 8, 2, 8], None),  # bad luck at single looks
        ([1, 4, 8, 8, 8, 8, 2, 2], 7),  # it had them
        ([2, 2, 2, 2], 2),  # it never gets them
    ],
)
def test_health_monitor_sounds_for_modes_lost_or_long_in_coming(parts, expected_at):
    sounded = look(lost_modes_monitor(), *parts)
    assert sounded == [index == expected_at for index in range(len(parts))]


def test_health_monitor_remembers_its_looks_and_says_what_is_missing():
    monitor = lost_modes_monitor()
    assert look(monitor, 8, 2) == [False, False]
    resumed = lost_modes_monitor()
    resumed.load_state_dict(json.loads(json.dumps(monitor.state_dict())))
    (alarm,) = resumed.observe_samples(clusters(64, (2, 5), 4))
    assert re.search(r"are like 0\.2\d of the data.*train\.health\.min_coverage", alarm.message)
    assert "train.health.rollback: true" in alarm.message


def test_diversity_alone_does_not_tell_of_two_modes_of_eight():
    real, two = clusters(128, range(8), 1), clusters(64, (2, 5), 2)
    assert diversity(two) > HealthConfig().min_diversity * diversity(real)


def test_health_monitor_names_who_wins():
    config = HealthConfig(window_kimg=1.0, max_logit_gap=10.0)
    monitor = HealthMonitor(config, torch.randn(8, 1, 4, 4))
    record = {"logits/real": 8.0, "logits/gen": -8.0}
    assert [a.kind for a in monitor.observe_log(record, 1.0)] == ["discriminator_wins"]
    swapped = {"logits/real": -8.0, "logits/gen": 8.0}
    assert [a.kind for a in monitor.observe_log(swapped, 1.0)] == ["discriminator_loses"]


def test_json_lines_drop_what_a_resumed_run_repeats(tmp_path):
    lines = JsonLines(tmp_path / "log.jsonl")
    for nimg in (10, 20, 30):
        lines.append({"nimg": nimg, "loss": float("nan")})
    with lines.path.open("a") as file:
        file.write('{"nimg": 4')  # cut short by a kill
    lines.append({"nimg": 20, "loss": 1.0})  # on a line of its own
    assert [record["nimg"] for record in lines.read()] == [10, 20, 30, 20]
    lines.drop_after(20)
    kept = [json.loads(line) for line in lines.path.read_text().splitlines()]
    records = [(10, None), (20, None), (20, 1.0)]
    assert kept == [{"nimg": nimg, "loss": loss} for nimg, loss in records]


def test_schedule_that_ends_before_it_begins_is_refused():
    with pytest.raises(ValueError, match="decay_end_kimg=2 lies before decay_start_kimg=4"):
        ScheduleConfig(name="linear", decay_start_kimg=4, decay_end_kimg=2)


@pytest.mark.parametrize("variable", ["ACCELERATE_USE_FSDP", "ACCELERATE_USE_DEEPSPEED"])
def test_runtime_refuses_sharded_training(monkeypatch, variable):
    monkeypatch.setenv(variable, "true")
    with pytest.raises(ConfigError, match="(FSDP|DeepSpeed).*accelerate config"):
        refuse_sharded_training()


@pytest.mark.skipif(torch.cuda.is_available(), reason="fp16 works on CUDA")
def test_runtime_refuses_fp16_on_cpu():
    with pytest.raises(ConfigError, match="train.precision=fp16 needs a CUDA.*Use auto"):
        Runtime("fp16")


def test_choose_compile_says_why(monkeypatch):
    cpu = torch.device("cpu")
    monkeypatch.setenv("CXX", sys.executable)  # a program that is there

    def chosen(compile, total_kimg, precision):
        config = toy_config({"compile": compile, "total_kimg": total_kimg, "batch_size": 10})
        return choose_compile(config, cpu, precision)

    assert chosen(True, 1, "fp32")[0] and not chosen(False, 1000, "bf16")[0]
    wanted, why = chosen("auto", 4, "bf16")
    assert not wanted and "400 steps are too few" in why
    assert chosen("auto", 6, "bf16")[0]
    wanted, why = chosen("auto", 6, "fp32")
    assert not wanted and "600 steps in fp32 on a CPU are too few" in why
    assert chosen("auto", 300, "fp32")[0]
    monkeypatch.setenv("CXX", "no-such-compiler")
    wanted, why = chosen("auto", 300, "bf16")
    assert not wanted and "no-such-compiler" in why


def test_to_channels_last_leaves_3d_convolutions_alone():
    module = nn.Sequential(nn.Conv2d(3, 4, 3), nn.Conv3d(3, 4, 3), nn.Linear(3, 4))
    to_channels_last(module)
    assert module[0].weight.is_contiguous(memory_format=torch.channels_last)
    assert module[1].weight.is_contiguous()
