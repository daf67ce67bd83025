"""The adversarial pair: conditions of generated images, passes, reports."""

import pytest
import torch
from ganforge_classic.cgan import Cgan
from torch import nn
from torch.testing import assert_close
from training.toy import SPEC, Toy, ToyConfig, toy_config, toy_run

from ganforge.errors import ConfigError
from ganforge.interfaces.batch import Batch, Networks
from ganforge.interfaces.generation import GenerateRequest
from ganforge.interfaces.objective import Objective
from ganforge.interfaces.spec import ImageSpec
from ganforge.objectives.losses import NonSaturating, Relativistic, Wasserstein
from ganforge.objectives.regularizers import R1, R2, GradientPenalty
from ganforge.training.engine.loop import make_batches

CLASSES = 4
LABELLED = ImageSpec(4, 4, 1, class_names=tuple("abcd"))


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


class LabelledToy(Toy):
    optional_inputs = ("label",)


def labelled_toy():
    return LabelledToy(ToyConfig(), LABELLED)


def spied(loss=NonSaturating, *regularizers):
    objective = Objective(loss(loss.Config()), regularizers)
    architecture = labelled_toy()
    nets = Networks({"generator": Labelled(), "discriminator": Spy()})
    phases = {phase.name: phase for phase in architecture.phases(objective)}
    return nets, phases


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
    gap = batch.memory["generated"][0][:, 0, 0, 0].atanh() - expected
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


def test_per_sample_discriminator_sees_real_and_generated_images_in_one_pass():
    def terms(alone):
        objective = Objective(Relativistic(Relativistic.Config()))

        class OnePass(LabelledToy):
            per_sample_discriminator = alone

        architecture = OnePass(ToyConfig(), LABELLED)
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


@pytest.mark.parametrize(
    ("loss", "names"),
    [
        (NonSaturating, {"accuracy/real", "accuracy/gen", "accuracy/pairs"}),
        (Relativistic, {"accuracy/pairs"}),
        (Wasserstein, {"accuracy/pairs"}),
    ],
)
def test_accuracy_is_reported_only_as_the_loss_decides(loss, names):
    nets, phases = spied(loss)
    batch = labelled_batch()
    phases["discriminator"].loss(nets, batch)
    assert {name for name in batch.reports if name.startswith("accuracy")} == names
    if loss is Relativistic:
        mean = batch.image.flatten(1).mean(1), batch.memory["generated"][0].flatten(1).mean(1)
        assert_close(batch.reports["accuracy/pairs"], [(mean[0] > mean[1]).float().mean()])


def test_cgan_with_labels_alone_draws_labels_for_its_images():
    batch = labelled_batch(attributes=torch.rand(64, 2))
    objective = Objective(NonSaturating(NonSaturating.Config()))
    spec = ImageSpec(4, 4, 1, class_names=tuple("abcd"), attribute_names=("x", "y"))
    for condition, is_drawn in (("label", True), ("both", False)):
        architecture = Cgan(Cgan.Config(condition=condition), spec)
        found = architecture.gen_condition(objective, batch)
        assert torch.equal(found, architecture.condition(batch)) is not is_drawn


def test_generated_images_keep_conditions_that_are_more_than_a_label():
    class Attributes(Toy):
        optional_inputs = ("label", "attributes")

    spec = ImageSpec(4, 4, 1, class_names=tuple("abcd"), attribute_names=("x", "y"))
    batch = labelled_batch(attributes=torch.rand(64, 2))
    architecture = Attributes(ToyConfig(), spec)
    objective = Objective(NonSaturating(NonSaturating.Config()))
    found = architecture.gen_condition(objective, batch)
    assert (architecture.conditions, architecture.c_dim) == (("label", "attributes"), 6)
    assert_close(found, torch.cat([batch.label, batch["attributes"]], 1), rtol=0, atol=0)


def test_labels_are_drawn_for_a_condition_that_transforms_them():
    # What decides is the declared condition, not whether the tensor is the batch's own.
    class Scaled(LabelledToy):
        def condition(self, batch):
            return 2.0 * super().condition(batch)

    torch.manual_seed(0)
    batch, architecture = labelled_batch(), Scaled(ToyConfig(), LABELLED)
    found = architecture.gen_condition(Objective(NonSaturating(NonSaturating.Config())), batch)
    assert torch.equal(found.sum(1), torch.full((64,), 2.0))
    assert not torch.equal(found, architecture.condition(batch))


def test_r2_is_taken_under_the_labels_of_the_generated_images_and_r1_under_the_real_ones():
    r1, r2 = R1(R1.Config(gamma=2.0)), R2(R2.Config(gamma=2.0))
    nets, phases = spied(NonSaturating, r1, r2)
    batch = labelled_batch()
    terms = phases["discriminator"].loss(nets, batch)

    # The gradient in each of 16 pixels is weight / 16.
    def expected(c):
        return ((nets["discriminator"].weight * c).sum(1) ** 2 / 16).mean()

    assert_close(terms["r1"], expected(batch.label))
    assert_close(terms["r2"], expected(batch.memory["generated"][1]))


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


def test_generate_refuses_what_it_would_ignore():
    gan = Toy(ToyConfig(), SPEC)
    nets = gan.networks()
    with pytest.raises(ConfigError, match="'toy' has no truncation"):
        gan.generate(nets, GenerateRequest([0], truncation=0.5))
    with pytest.raises(ConfigError, match="no generation option 'sharpness'"):
        gan.generate(nets, GenerateRequest([0], options={"sharpness": 1}))
