import pytest
import torch
from ganforge_translation.cyclegan import Cyclegan, CycleganConfig
from ganforge_translation.networks import Translator
from ganforge_translation.pool import exchange
from torch import nn
from torch.testing import assert_close
from translating import build, component, count, images_of, objective, run_phase

from ganforge.api import (
    ConfigError,
    GenerateRequest,
    ImageSpec,
    Networks,
)
from ganforge.layers import PatchDiscriminator
from ganforge.objectives.losses import Hinge, LeastSquares, NonSaturating, Relativistic, Wasserstein
from ganforge.objectives.regularizers import R1, WeightClipping

SPEC = ImageSpec(24, 24, 3, source_channels=3)
TINY = {"generator_width": 4, "num_blocks": 1, "discriminator_width": 4, "pool_size": 3}
ROLES = ["generator_target", "discriminator_target", "generator_source", "discriminator_source"]


def make(spec=SPEC, **options):
    return build(Cyclegan, spec, TINY | options)


def make_batch(size=1, spec=SPEC):
    return images_of(spec, size)


# Networks --------------------------------------------------------------------------------------


def test_translator_nine_blocks_has_the_papers_parameters():
    with torch.device("meta"):
        network = Translator(3, 3, width=64, num_blocks=9)
    ends = (7 * 7 * 3 * 64 + 64) + (7 * 7 * 64 * 3 + 3)
    halves = 9 * 64 * 128 + 9 * 128 * 256
    between = 2 * halves + (128 + 256) + (128 + 64)
    assert count(network) == ends + between + 9 * 2 * (9 * 256 * 256 + 256) == 11_378_179


@pytest.mark.parametrize(("side", "blocks"), [(128, 6), (132, 9)])
def test_networks_default_blocks_follow_the_resolution(side, blocks):
    with torch.device("meta"):
        networks = Cyclegan(CycleganConfig(), ImageSpec(side, side, 3, 3)).networks()
    block = 2 * (9 * 256 * 256 + 256)
    assert count(networks["generator_target"]) == 11_378_179 - (9 - blocks) * block
    assert sorted(networks) == sorted(ROLES)


def test_translator_reflects_at_the_border():
    network = Translator(1, 1, width=2, num_blocks=0)
    wanted = nn.functional.pad(torch.arange(64.0).view(1, 1, 8, 8), (3,) * 4, mode="reflect")
    assert_close(network.layers[0](torch.arange(64.0).view(1, 1, 8, 8)), wanted)


def test_cyclegan_layers_stand_in_the_papers_order():
    def kinds(layers):
        return [type(layer).__name__ for layer in layers]

    normed = ["InstanceNorm", "ReLU"]
    block = ["ReflectionPad", "Conv2d", *normed, "ReflectionPad", "Conv2d", "InstanceNorm"]
    translator = Translator(3, 3, width=2, num_blocks=2).layers
    assert kinds(translator) == [
        *("ReflectionPad", "Conv2d", *normed),
        *("Conv2d", *normed) * 2,
        *("ResidualBlock",) * 2,
        *("ConvTranspose2d", *normed) * 2,
        *("ReflectionPad", "Conv2d"),
    ]
    assert kinds(translator[10].layers) == block
    patch = PatchDiscriminator(3, width=2, num_layers=3).layers
    normed = ["Conv2d", "InstanceNorm", "LeakyReLU"]
    assert kinds(patch) == ["Conv2d", "LeakyReLU", *normed * 3, "Conv2d"]
    assert {layer.slope for layer in patch if hasattr(layer, "slope")} == {0.2}


@pytest.mark.parametrize("role", ROLES)
def test_networks_batch_of_images_equals_the_images_one_by_one(role):
    _, nets = make()
    img = make_batch(3)["source"]
    together = nets[role](img)
    assert_close(together, torch.cat([nets[role](one) for one in img.split(1)]))


def test_networks_channels_per_domain_reach_the_right_networks():
    spec = ImageSpec(24, 32, 3, source_channels=1)
    _, nets = make(spec, identity_weight=0)
    batch = make_batch(2, spec)
    assert nets["generator_target"](batch["source"]).shape == (2, 3, 24, 32)
    assert nets["generator_source"](batch["target"]).shape == (2, 1, 24, 32)
    assert nets["discriminator_source"](batch["source"]).shape == (2, 1, 1, 2)


def test_networks_initial_weights_have_the_papers_deviation():
    network = Translator(3, 3, width=16, num_blocks=2)
    weights = torch.cat([p.flatten() for p in network.parameters() if p.ndim == 4])
    biases = torch.cat([p.flatten() for p in network.parameters() if p.ndim == 1])
    assert_close(weights.std().item(), 0.02, atol=2e-4, rtol=0)
    assert_close(weights.mean().item(), 0.0, atol=2e-4, rtol=0)
    assert not biases.any()


# Phases ----------------------------------------------------------------------------------------


def test_phases_names_and_roles_are_one_optimizer_for_each_kind():
    architecture, _ = make()
    generators, discriminators = architecture.phases(objective())
    assert generators.name == "generators"
    assert set(generators.trains) == {"generator_target", "generator_source"}
    assert discriminators.name == "discriminators"
    assert set(discriminators.trains) == {"discriminator_target", "discriminator_source"}


@pytest.mark.parametrize("loss", [LeastSquares, Hinge, NonSaturating, Wasserstein, Relativistic])
def test_phases_backward_reaches_exactly_the_networks_they_name(loss):
    architecture, nets = make()
    batch = make_batch()
    for phase in architecture.phases(objective(loss=loss)):
        run_phase(phase, nets, batch)
        for role in nets:
            reached = [p.grad is not None for p in nets[role].parameters()]
            assert all(reached) if role in phase.trains else not any(reached)
            weights = [p for p in nets[role].parameters() if p.ndim == 4]
            assert all(p.grad.abs().sum() > 0 for p in weights if role in phase.trains)


def test_generator_terms_equal_the_papers_loss_computed_plainly():
    architecture, nets = make()
    batch = make_batch(2)
    terms = architecture.phases(objective())[0].loss(nets, batch)
    source, target = batch["source"], batch["target"]
    to_target, to_source = nets["generator_target"], nets["generator_source"]
    gen_target, gen_source = to_target(source), to_source(target)
    l1 = nn.functional.l1_loss
    wanted = {
        # Eq. 1 with least squares and without Mao's 1/2, Eq. 2 and the identity loss of 5.2
        "adversarial_target": (nets["discriminator_target"](gen_target) - 1).square().mean(),
        "adversarial_source": (nets["discriminator_source"](gen_source) - 1).square().mean(),
        "cycle_source": 10 * l1(to_source(gen_target), source),
        "cycle_target": 10 * l1(to_target(gen_source), target),
        "identity_source": 5 * l1(to_source(source), source),
        "identity_target": 5 * l1(to_target(target), target),
    }
    assert sorted(terms) == sorted(wanted)
    for name, value in wanted.items():
        assert_close(terms[name], value, msg=lambda text, name=name: f"{name}: {text}")


def test_discriminator_terms_equal_the_papers_loss_computed_plainly():
    architecture, nets = make(pool_size=0)
    batch = make_batch(2)
    terms = architecture.phases(objective())[1].loss(nets, batch)
    for domain, other in (("source", "target"), ("target", "source")):
        real = nets[f"discriminator_{domain}"](batch[domain])
        gen = nets[f"discriminator_{domain}"](nets[f"generator_{domain}"](batch[other]))
        wanted = 0.5 * ((real - 1).square().mean() + gen.square().mean())
        assert_close(terms[f"adversarial_{domain}"], wanted)
    assert len(terms) == 2


def test_discriminator_reports_mean_logits_of_both_domains():
    architecture, nets = make(pool_size=0)
    batch = make_batch()
    architecture.phases(objective())[1].loss(nets, batch)
    real = [
        nets[f"discriminator_{domain}"](batch[domain]).mean() for domain in ("source", "target")
    ]
    assert_close(batch.reports["logits/real"], real)
    assert all(value.isfinite() for value in batch.reports["logits/gen"])


def test_discriminator_phase_uses_the_generator_phases_translations():
    architecture, nets = make(pool_size=0)
    batch = make_batch()
    generators, discriminators = architecture.phases(objective())
    generators.loss(nets, batch)
    assert not batch.memory["gen_target"].requires_grad
    before = discriminators.loss(nets, batch)["adversarial_target"]
    batch.memory["gen_target"] = batch["target"].flip(3)
    assert discriminators.loss(nets, batch)["adversarial_target"] != before


def test_discriminator_phase_without_a_generator_phase_translates_by_itself():
    architecture, nets = make(pool_size=0)
    batch, fresh = make_batch(), make_batch()
    generators, discriminators = architecture.phases(objective(n_critic=2))
    assert (generators.every, discriminators.every) == (2, 1)
    generators.loss(nets, batch)
    assert_close(discriminators.loss(nets, fresh), discriminators.loss(nets, batch))


def test_identity_off_drops_its_terms_and_nothing_else():
    architecture, nets = make()
    without, _ = make(identity_weight=0)
    batch = make_batch()
    terms = architecture.phases(objective())[0].loss(nets, batch)
    fewer = without.phases(objective())[0].loss(nets, batch)
    assert sorted(fewer) == sorted(name for name in terms if not name.startswith("identity"))
    for name, value in fewer.items():
        assert_close(value, terms[name])


def test_penalty_each_step_falls_on_both_discriminators():
    architecture, nets = make(pool_size=0)
    batch = make_batch(2)
    phases = architecture.phases(objective(component(R1, gamma=4.0)))
    assert len(phases) == 2
    terms = phases[1].loss(nets, batch)
    for domain in ("source", "target"):
        img = batch[domain].clone().requires_grad_(True)
        value = nets[f"discriminator_{domain}"](img).mean((1, 2, 3)).sum()
        (gradient,) = torch.autograd.grad(value, img)
        assert_close(terms[f"r1_{domain}"], 2 * gradient.square().sum((1, 2, 3)).mean())


def test_penalty_lazy_becomes_a_phase_scaled_by_its_interval():
    architecture, nets = make()
    often = architecture.phases(objective(component(R1)))[1]
    seldom = architecture.phases(objective(component(R1, every=4)))
    assert [phase.name for phase in seldom] == ["generators", "discriminators", "discriminators_r1"]
    assert (seldom[2].every, seldom[2].lazy, seldom[2].trains) == (4, True, often.trains)
    batch = make_batch()
    lazy = seldom[2].loss(nets, batch)
    assert sorted(lazy) == ["r1_source", "r1_target"]
    assert_close(lazy["r1_source"], 4 * often.loss(nets, batch)["r1_source"])


def test_projection_clips_both_discriminators_after_their_step():
    architecture, nets = make()
    clipping = component(WeightClipping, limit=1e-3)
    phase = architecture.phases(objective(clipping, loss=Wasserstein))[1]
    phase.after_step(nets)
    for role in nets:
        largest = max(p.abs().max().item() for p in nets[role].parameters())
        assert (largest <= 1.001e-3) == role.startswith("discriminator")


def test_losses_under_bf16_autocast_are_float32_and_near():
    architecture, nets = make()
    batch = make_batch()
    for phase in architecture.phases(objective()):
        exact = phase.loss(nets, batch)
        with torch.autocast("cpu", torch.bfloat16):
            terms = phase.loss(nets, batch)
        assert all(term.dtype == torch.float32 for term in terms.values())
        batch.slot_state.clear()
        for name, term in terms.items():
            assert_close(term, exact[name], rtol=0.05, atol=0.02)


# Image pool ------------------------------------------------------------------------------------


def numbered(first, num=1):
    return torch.arange(first, first + num, dtype=torch.float32).view(num, 1, 1, 1)


def test_pool_while_filling_returns_and_keeps_the_new_images():
    state = {}
    assert_close(exchange(state, "target", numbered(1, 2), 3), numbered(1, 2))
    assert_close(exchange(state, "target", numbered(3), 3), numbered(3))
    assert state["pool_target"].flatten().tolist() == [1, 2, 3]
    assert state["pool_target_count"].tolist() == [3]


def test_pool_full_never_loses_nor_doubles_an_image():
    torch.manual_seed(0)
    state = {}
    given, returned = [], []
    for first in range(0, 400, 4):
        returned += exchange(state, "a", numbered(first, 4), 5).flatten().tolist()
        given += range(first, first + 4)
    kept = state["pool_a"].flatten().tolist()
    # While it fills, an image is both returned and kept; later it is one or the other.
    later = [x for x in returned + kept if x >= 5]
    assert sorted(later) == given[5:]


def test_pool_full_returns_a_stored_image_half_of_the_time():
    torch.manual_seed(0)
    state = {}
    exchange(state, "a", numbered(0, 10), 10)
    num, old, ages = 4000, 0, []
    for first in range(10, 10 + num):
        value = exchange(state, "a", numbered(first), 10).item()
        if value != first:
            old += 1
            ages.append(first - value)
    # Binomial(4000, 1/2): standard deviation 0.0079. An image leaves with probability 1/20 a
    # step, so that ages are geometric with mean 20.
    assert_close(old / num, 0.5, atol=0.03, rtol=0)
    assert_close(sum(ages) / len(ages), 20.0, atol=2.0, rtol=0)


def test_pool_is_a_function_of_torchs_seed_alone():
    runs = []
    for _ in range(2):
        state = {}
        torch.manual_seed(3)
        runs.append([exchange(state, "a", numbered(i, 2), 4) for i in range(0, 60, 2)])
    assert_close(runs[0], runs[1])


def test_pool_goes_on_alike_after_a_state_round_trip():
    torch.manual_seed(0)
    state = {}
    for first in range(9):
        exchange(state, "a", numbered(first), 4)
    restored = {name: tensor.clone() for name, tensor in state.items()}
    outs = []
    for pool in (state, restored):
        torch.manual_seed(5)
        outs.append([exchange(pool, "a", numbered(i), 4) for i in range(100, 120)])
    assert_close(outs[0], outs[1])
    assert_close(state, restored)


def test_pool_of_size_zero_returns_the_images_and_keeps_nothing():
    state = {}
    assert_close(exchange(state, "a", numbered(1, 3), 0), numbered(1, 3))
    assert state == {}


def test_discriminator_phase_keeps_one_pool_per_domain_in_the_slot_state():
    architecture, nets = make()
    batch = make_batch()
    generators, discriminators = architecture.phases(objective())
    generators.loss(nets, batch)
    discriminators.loss(nets, batch)
    assert sorted(batch.slot_state) == sorted(
        f"pool_{domain}{end}" for domain in ("source", "target") for end in ("", "_count")
    )
    assert batch.slot_state["pool_target"].shape == (3, 3, 24, 24)
    assert_close(batch.slot_state["pool_target"][0], batch.memory["gen_target"][0])


# Generation ------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("options", "role"),
    [
        ({}, "generator_target"),
        ({"direction": "source_to_target"}, "generator_target"),
        ({"direction": "target_to_source"}, "generator_source"),
    ],
)
def test_generate_direction_chooses_the_translator(options, role):
    architecture, nets = make()
    source = make_batch(2)["source"]
    with torch.no_grad():
        img = architecture.generate(
            nets, GenerateRequest(seeds=[0, 1], source=source, options=options)
        )
        assert_close(img, nets[role](source))
    assert img.dtype == torch.float32
    assert img.abs().max() <= 1


def test_generate_unknown_direction_is_refused_with_the_valid_ones():
    architecture, nets = make()
    request = GenerateRequest(
        seeds=[0], source=make_batch()["source"], options={"direction": "source_to_traget"}
    )
    with pytest.raises(ConfigError, match="source_to_traget.*Did you mean 'source_to_target'"):
        architecture.generate(nets, request)


# Refusals --------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("spec", "options", "match"),
    [
        (ImageSpec(24, 24), {}, "model.architecture: .*two domains.*data.source: .*unpaired"),
        (ImageSpec(20, 24, 3, 3), {}, "data.resolution: 20x24.*24 pixels.*lower one"),
        (ImageSpec(30, 24, 3, 3), {}, r"data.resolution: .*30x24.*multiples of 4.*\[32, 24\]"),
        (ImageSpec(24, 24, 3, 1), {}, "model.identity_weight=5.0.*1 channels.*identity_weight: 0"),
    ],
)
def test_check_data_that_cannot_work_is_refused(spec, options, match):
    architecture = Cyclegan(CycleganConfig(**(TINY | options)), spec)
    with pytest.raises(ConfigError, match=match):
        architecture.check(objective())


def test_check_accepts_what_works():
    architecture, _ = make()
    architecture.check(objective(component(R1), loss=Wasserstein))
    without, _ = make(ImageSpec(24, 28, 3, source_channels=1), identity_weight=0)
    without.check(objective())


# Compiled networks -----------------------------------------------------------------------------


def test_networks_compiled_form_is_given_by_role_and_the_plain_one_by_eager():
    _, nets = make()
    plain = nets.modules()
    compiled = {role: torch.compile(plain[role], backend="eager") for role in ROLES[:2]}
    both = Networks(plain, compiled)
    for role in ROLES:
        assert both[role] is (compiled[role] if role in compiled else plain[role])
        assert both.eager(role) is plain[role]


def test_phases_compiled_networks_give_the_eager_losses():
    architecture, nets = make()
    plain = nets.modules()
    compiled = {role: torch.compile(net, backend="aot_eager") for role, net in plain.items()}
    batch, other = make_batch(), make_batch()
    for phase in architecture.phases(objective()):
        terms = run_phase(phase, Networks(plain, compiled), batch)
        assert terms == pytest.approx(run_phase(phase, nets, other), rel=1e-5)
