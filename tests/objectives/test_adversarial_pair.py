"""The adversarial pair: what generated images are told, and looking ahead."""

import copy

import pytest
import torch
from ganforge_classic.cgan import Cgan
from torch import nn
from torch.nn import functional
from torch.testing import assert_close
from training.toy import SPEC, Toy, ToyConfig, advance, toy_config, toy_run, weights

from ganforge.config.models import UnrollConfig
from ganforge.errors import ConfigError
from ganforge.interfaces.batch import Batch, Networks
from ganforge.interfaces.generation import GenerateRequest
from ganforge.interfaces.objective import Objective
from ganforge.objectives.losses import NonSaturating, Relativistic, Wasserstein
from ganforge.objectives.regularizers import R1, R2, GradientPenalty
from ganforge.training.engine.loop import make_batches

CLASSES = 4


class Spy(nn.Module):
    """Scores by one weight per class, and remembers the labels it was shown."""

    def __init__(self):
        super().__init__()
        self.weight = nn.Parameter(torch.arange(1.0, CLASSES + 1))
        self.seen = []

    def forward(self, img, c):
        self.seen.append(c)
        return (self.weight * c).sum(1) * img.flatten(1).mean(1)


class Labelled(nn.Module):
    def forward(self, z, c):
        return (z.mean(1) + c.argmax(1))[:, None, None, None].expand(-1, 1, 4, 4).tanh()


def labelled_batch(num=64, nimg=0, **fields):
    label = torch.eye(CLASSES)[torch.arange(num) % CLASSES]
    return Batch({"image": torch.rand(num, 1, 4, 4), "label": label, **fields}, nimg=nimg)


def spied(loss=NonSaturating, *regularizers):
    objective = Objective(loss(loss.Config()), regularizers)
    architecture = Toy(ToyConfig())
    nets = Networks({"generator": Labelled(), "discriminator": Spy()})
    phases = {phase.name: phase for phase in architecture.phases(objective)}
    return nets, phases


# Labels of generated images --------------------------------------------------------------------


def test_draw_label_follows_the_training_data_and_not_the_batch():
    torch.manual_seed(0)
    batch = labelled_batch(40_000)
    batch.fields["label"] = torch.eye(CLASSES)[torch.zeros(40_000, dtype=torch.long)]
    batch.class_counts = torch.tensor([100.0, 0.0, 300.0, 600.0])
    label = batch.draw_label()
    assert label.shape == (40_000, CLASSES) and torch.equal(label.sum(1), torch.ones(40_000))
    assert_close(label.mean(0), torch.tensor([0.1, 0.0, 0.3, 0.6]), atol=0.01, rtol=0)


def test_draw_label_is_uniform_where_counts_are_unknown_and_empty_without_labels():
    torch.manual_seed(0)
    assert_close(
        labelled_batch(40_000).draw_label().mean(0), torch.full((4,), 0.25), atol=0.01, rtol=0
    )
    assert Batch({"image": torch.rand(3, 1, 4, 4)}).draw_label().shape == (3, 0)


def test_generated_images_have_labels_of_their_own_in_both_phases():
    nets, phases = spied()
    torch.manual_seed(0)
    batch = labelled_batch()
    phases["discriminator"].loss(nets, batch)
    real_c, gen_c = nets["discriminator"].seen
    assert torch.equal(real_c, batch.label) and not torch.equal(gen_c, batch.label)
    # The image was made for the label it is judged by.
    expected = gen_c.argmax(1).float()
    gap = batch.memory["gen_img"][:, 0, 0, 0].atanh() - expected
    assert gap.abs().max() < 3 and gap.abs().mean() < 1  # the mean of four normals
    phases["generator"].loss(nets, batch)
    again = nets["discriminator"].seen[-1]
    assert not torch.equal(again, batch.label) and not torch.equal(again, gen_c)


def test_generated_images_of_a_paired_loss_have_the_labels_of_the_real_ones():
    nets, phases = spied(Relativistic)
    batch = labelled_batch()
    for name in ("discriminator", "generator"):
        phases[name].loss(nets, batch)
    assert all(torch.equal(c, batch.label) for c in nets["discriminator"].seen)


def test_generated_images_that_a_penalty_joins_with_real_ones_have_their_labels():
    nets, phases = spied(Wasserstein, GradientPenalty(GradientPenalty.Config()))
    batch = labelled_batch()
    phases["discriminator"].loss(nets, batch)
    assert len(nets["discriminator"].seen) == 3  # real, generated, between
    assert all(torch.equal(c, batch.label) for c in nets["discriminator"].seen)


def test_discriminator_that_per_sample_discriminator_sees_real_and_generated_images_in_one_pass():
    def terms(alone):
        objective = Objective(Relativistic(Relativistic.Config()))
        architecture = Toy(ToyConfig())
        architecture.per_sample_discriminator = alone
        nets = Networks({"generator": Labelled(), "discriminator": Spy()})
        torch.manual_seed(0)
        batch = labelled_batch()
        phase = next(p for p in architecture.phases(objective) if p.name == "discriminator")
        found = phase.loss(nets, batch)["adversarial"]
        (gradient,) = torch.autograd.grad(found, nets["discriminator"].weight)
        return found, gradient, [len(c) for c in nets["discriminator"].seen]

    *apart, passes = terms(alone=False)
    *joined, joined_passes = terms(alone=True)
    assert_close(joined, apart)
    assert (passes, joined_passes) == ([64, 64], [128])


# Wrong conditions ------------------------------------------------------------------------------


def test_wrong_label_is_each_other_class_equally_often_and_never_the_right_one():
    torch.manual_seed(0)
    batch = labelled_batch(40_000)
    wrong = Toy(ToyConfig()).wrong_condition(batch)
    assert wrong.shape == batch.label.shape and torch.equal(wrong.sum(1), torch.ones(40_000))
    pairs = batch.label.T @ wrong / 10_000
    assert_close(pairs, (1 - torch.eye(CLASSES)) / 3, atol=0.02, rtol=0)
    assert (pairs.diagonal() == 0).all()


def test_wrong_attributes_are_the_neighbours():
    attributes = torch.rand(6, 3)
    batch = labelled_batch(6, attributes=attributes)
    wrong = Cgan(Cgan.Config(condition="attributes")).wrong_condition(batch)
    assert torch.equal(wrong, attributes[[5, 0, 1, 2, 3, 4]])


def test_wrong_attributes_of_a_single_image_do_not_exist():
    batch = labelled_batch(1, attributes=torch.rand(1, 3))
    assert Cgan(Cgan.Config(condition="attributes")).wrong_condition(batch) is None


@pytest.mark.parametrize("alone", [False, True])
@pytest.mark.parametrize("loss", [NonSaturating, Relativistic])
def test_matching_weighs_the_loss_between_right_and_wrong_conditions(loss, alone):
    objective = Objective(loss(loss.Config()), matching=3.0)
    architecture = Toy(ToyConfig())
    architecture.per_sample_discriminator = alone
    nets = Networks({"generator": Labelled(), "discriminator": Spy()})
    batch = labelled_batch()
    torch.manual_seed(0)
    terms = architecture.phases(objective)[0].loss(nets, batch)
    assert sorted(terms) == ["adversarial", "matching"]
    wrong_c = torch.cat(nets["discriminator"].seen)[-64:]
    assert not (wrong_c * batch.label).any()
    right, wrong = (nets["discriminator"](batch.image, c) for c in (batch.label, wrong_c))
    assert_close(terms["matching"], 3 * objective.loss.discriminator(right, wrong))
    assert_close(batch.reports["accuracy/matching"], (right > wrong).float().mean())


def test_matching_leaves_generator_and_adversarial_term_alone():
    def terms(matching):
        objective = Objective(Relativistic(Relativistic.Config()), matching=matching)
        nets = Networks({"generator": Labelled(), "discriminator": Spy()})
        phases = Toy(ToyConfig()).phases(objective)
        batch, found = labelled_batch(), []
        batch.fields["image"] = torch.linspace(-1, 1, 1024).view(64, 1, 4, 4)
        for phase in phases:
            torch.manual_seed(0)
            found.append(phase.loss(nets, batch))
        return found

    (with_disc, with_gen), (disc, gen) = terms(1.0), terms(0.0)
    assert_close([with_gen, with_disc["adversarial"]], [gen, disc["adversarial"]])
    assert sorted(disc) == ["adversarial"]


@pytest.mark.parametrize("num_classes", [0, 1])
def test_matching_without_two_conditions_shows_nothing_more(num_classes):
    batch = labelled_batch()
    batch.fields["label"] = torch.ones(64, num_classes)
    assert Toy(ToyConfig()).wrong_condition(batch) is None
    run = toy_run(toy_config(loss={"matching": 1}))
    assert "loss/discriminator/matching" not in advance(run, 1).sums


def test_matching_without_conditions_is_warned_of(caplog):
    toy_run(toy_config(loss={"matching": 1}))
    assert "loss.matching has no effect: 'toy' is told nothing of these images" in caplog.text
    caplog.clear()
    toy_run(toy_config())
    assert "matching" not in caplog.text


def test_matching_is_refused_where_the_discriminator_is_not_told():
    config = toy_config(loss={"matching": 1}).model_copy(
        update={"model": toy_config(model={"architecture": "acgan"}).model}
    )
    with pytest.raises(ConfigError, match=r"loss\.matching: the discriminator of 'acgan' .*Remove"):
        toy_run(config)


# -----------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("loss", "names"),
    [
        (NonSaturating, {"accuracy/real", "accuracy/gen"}),
        (Relativistic, {"accuracy/pairs"}),
        (Wasserstein, set()),
    ],
)
def test_accuracy_is_reported_only_as_the_loss_decides(loss, names):
    nets, phases = spied(loss)
    batch = labelled_batch()
    phases["discriminator"].loss(nets, batch)
    assert {name for name in batch.reports if name.startswith("accuracy")} == names
    if loss is Relativistic:
        mean = batch.image.flatten(1).mean(1), batch.memory["gen_img"].flatten(1).mean(1)
        assert_close(batch.reports["accuracy/pairs"], (mean[0] > mean[1]).float().mean())


def test_cgan_with_labels_alone_draws_labels_for_its_images():
    batch = labelled_batch(attributes=torch.rand(64, 2))
    objective = Objective(NonSaturating(NonSaturating.Config()))
    for condition, is_drawn in (("label", True), ("both", False)):
        architecture = Cgan(Cgan.Config(condition=condition))
        found = architecture.gen_condition(objective, batch)
        assert torch.equal(found, architecture.condition(batch)) is not is_drawn


def test_generated_images_keep_conditions_that_are_more_than_a_label():
    class Attributes(Toy):
        def condition(self, batch):
            return torch.cat([batch.label, batch["attributes"]], 1)

    batch = labelled_batch(attributes=torch.rand(64, 2))
    architecture = Attributes(ToyConfig())
    objective = Objective(NonSaturating(NonSaturating.Config()))
    found = architecture.gen_condition(objective, batch)
    assert_close(found, architecture.condition(batch), rtol=0, atol=0)


def test_r2_is_taken_under_the_labels_of_the_generated_images_and_r1_under_the_real_ones():
    r1, r2 = R1(R1.Config(gamma=2.0)), R2(R2.Config(gamma=2.0))
    nets, phases = spied(NonSaturating, r1, r2)
    batch = labelled_batch()
    terms = phases["discriminator"].loss(nets, batch)

    # The gradient in each of 16 pixels is weight / 16.
    def expected(c):
        return ((nets["discriminator"].weight * c).sum(1) ** 2 / 16).mean()

    assert_close(terms["r1"], expected(batch.label))
    assert_close(terms["r2"], expected(batch.memory["gen_c"]))


def test_penalties_know_how_far_the_run_is():
    fall = {"from": 4.0, "to": 1.0, "over_kimg": 1.0, "shape": "linear"}
    nets, phases = spied(NonSaturating, R1(R1.Config(gamma=fall)))
    found = [
        phases["discriminator"].loss(nets, labelled_batch(nimg=nimg))["r1"] for nimg in (0, 500)
    ]
    assert_close(found[0] / found[1], torch.tensor(4.0 / 2.5))


def test_make_batches_knows_how_frequent_classes_are():
    run = toy_run(toy_config({"slots": 2}))
    run.class_counts = torch.tensor([1.0, 3.0])
    fields = [{"image": torch.zeros(8, 1, 4, 4, dtype=torch.uint8)}] * 2
    assert all(batch.class_counts is run.class_counts for batch in make_batches(run, fields))


# Unrolling -------------------------------------------------------------------------------------


class Linear(nn.Module):
    """D(x) = w * mean(x), with a buffer that each training pass moves."""

    def __init__(self):
        super().__init__()
        self.weight = nn.Parameter(torch.tensor(0.3))
        self.unused = nn.Parameter(torch.tensor(1.0))
        self.register_buffer("calls", torch.zeros(()))

    def forward(self, img, c):
        self.calls.add_(1)
        return self.weight * img.flatten(1).mean(1)


class Constant(nn.Module):
    def __init__(self):
        super().__init__()
        self.level = nn.Parameter(torch.tensor(-0.4))

    def forward(self, z, c):
        return self.level.expand(z.shape[0], 1, 4, 4)


def unrolled_terms(steps, lr, real=0.5):
    objective = Objective(
        NonSaturating(NonSaturating.Config()), unroll=UnrollConfig(steps=steps, lr=lr)
    )
    nets = Networks({"generator": Constant(), "discriminator": Linear()})
    nets["discriminator"].requires_grad_(False)
    batch = Batch({"image": torch.full((3, 1, 4, 4), real)})
    phase = {p.name: p for p in Toy(ToyConfig()).phases(objective)}["generator"]
    return torch.stack(list(phase.loss(nets, batch).values())).sum(), nets, batch


@pytest.mark.parametrize("steps", [1, 3])
def test_unrolled_gradient_goes_through_the_discriminators_steps(steps):
    """Against the same steps written by hand for D(x) = w x and G = g."""
    lr, real = 0.7, 0.5
    loss, nets, _ = unrolled_terms(steps, lr, real)
    (found,) = torch.autograd.grad(loss, nets["generator"].level)

    def by_hand(g, answered):
        w = torch.tensor(0.3)
        for _ in range(steps):
            # d/dw of softplus(-w real) + softplus(w g)
            slope = answered * torch.sigmoid(w * answered) - real * torch.sigmoid(-w * real)
            w = w - lr * slope
        # What it loses on generated images is a number here: the generator has its own loss.
        lost = functional.softplus(-w * real) + functional.softplus(w * g).detach()
        return functional.softplus(-w * g) - lost

    g = torch.tensor(-0.4, requires_grad=True)
    expected = by_hand(g, g)
    assert_close(loss, expected)
    assert_close(found, torch.autograd.grad(expected, g)[0])
    # It matters that the discriminator answers.
    (held,) = torch.autograd.grad(by_hand(g, g.detach()), g)
    assert (found - held).abs() > 1e-2


def test_unrolling_leaves_discriminator_and_log_alone():
    before = copy.deepcopy(Linear().state_dict())
    _, nets, batch = unrolled_terms(4, 0.5)
    for key, value in nets["discriminator"].state_dict().items():
        assert_close(value, before[key], rtol=0, atol=0)
    assert nets["discriminator"].weight.grad is None
    assert batch.reports == {} and batch.memory == {}


def test_unrolled_run_trains_both_networks_and_resumes_exactly():
    config = toy_config(loss={"name": "nonsaturating", "unroll": {"steps": 2, "lr": 0.1}})
    run, plain, again = toy_run(config), toy_run(toy_config()), toy_run(config)
    advance(run, 2)
    again.restore(copy.deepcopy(run.snapshot()), "here")
    advance(run, 1)
    advance(again, 1)
    advance(plain, 3)
    found, expected, other = weights(run), weights(again), weights(plain)
    assert all(torch.equal(found[key], expected[key]) for key in expected)
    key = "networks/generator.layers.3.weight"
    assert not torch.allclose(found[key], other[key], atol=1e-5)
    assert SPEC.num_classes == 0


def test_unrolling_an_architecture_without_the_pair_is_refused():
    config = toy_config(loss={"unroll": {"lr": 0.1}}).model_copy(
        update={"model": toy_config(model={"architecture": "cyclegan"}).model}
    )
    with pytest.raises(ConfigError, match=r"loss\.unroll: 'cyclegan' does not train one .* Remove"):
        toy_run(config)


def test_unrolling_with_augmentation_is_refused():
    config = toy_config(loss={"unroll": {"lr": 0.1}}, augment="ada")
    with pytest.raises(ConfigError, match=r"loss\.unroll does not go with augment\.name=ada.*Remo"):
        toy_run(config)


def test_generate_refuses_what_it_would_ignore():
    gan = Toy(ToyConfig(), SPEC)
    nets = gan.networks()
    with pytest.raises(ConfigError, match="'toy' has no truncation"):
        gan.generate(nets, GenerateRequest([0], truncation=0.5))
    with pytest.raises(ConfigError, match="no generation option 'sharpness'"):
        gan.generate(nets, GenerateRequest([0], options={"sharpness": 1}))
