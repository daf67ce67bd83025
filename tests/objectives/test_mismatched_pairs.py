"""Real images with wrong conditions."""

import pytest
import torch
from objectives.test_adversarial_pair import (
    CLASSES,
    LABELLED,
    Labelled,
    LabelledToy,
    Spy,
    labelled_batch,
    labelled_toy,
)
from torch.testing import assert_close
from training.toy import ToyConfig, toy_config, toy_run

from ganforge.errors import ConfigError
from ganforge.interfaces.batch import Networks
from ganforge.interfaces.objective import Objective
from ganforge.objectives.losses import NonSaturating, Relativistic
from ganforge.objectives.mismatched_pairs import MismatchedPairs, MismatchedPairsConfig, mismatched

TERM = {"terms": [{"name": "mismatched_pairs"}]}


def objective_of(loss, weight):
    terms = (MismatchedPairs(MismatchedPairsConfig(weight=weight)),) if weight else ()
    return Objective(loss(loss.Config()), terms=terms)


def test_wrong_label_is_each_other_class_equally_often_and_never_the_right_one():
    torch.manual_seed(0)
    label = labelled_batch(40_000).label
    wrong = mismatched(("label",), label)
    assert wrong.shape == label.shape and torch.equal(wrong.sum(1), torch.ones(40_000))
    pairs = label.T @ wrong / 10_000
    assert_close(pairs, (1 - torch.eye(CLASSES)) / 3, atol=0.02, rtol=0)
    assert (pairs.diagonal() == 0).all()


def test_wrong_attributes_are_the_neighbors():
    attributes = torch.rand(6, 3)
    wrong = mismatched(("attributes",), attributes)
    assert torch.equal(wrong, attributes[[5, 0, 1, 2, 3, 4]])


@pytest.mark.parametrize(
    ("names", "c"), [(("attributes",), torch.rand(1, 3)), (("label",), torch.ones(64, 1))]
)
def test_without_two_conditions_none_is_wrong(names, c):
    assert mismatched(names, c) is None


@pytest.mark.parametrize("is_per_sample", [False, True])
@pytest.mark.parametrize("loss", [NonSaturating, Relativistic])
def test_term_is_the_weighted_loss_between_right_and_wrong_conditions(loss, is_per_sample):
    class OnePass(LabelledToy):
        per_sample_discriminator = is_per_sample

    objective, architecture = objective_of(loss, 3.0), OnePass(ToyConfig(), LABELLED)
    nets = Networks({"generator": Labelled(), "discriminator": Spy()})
    batch = labelled_batch()
    torch.manual_seed(0)
    terms = architecture.phases(objective)[0].loss(nets, batch)
    assert sorted(terms) == ["adversarial", "mismatched_pairs"]
    assert len(nets["discriminator"].seen) == (1 if is_per_sample else 3)
    wrong_c = nets["discriminator"].seen[-1][-batch.size :]
    assert not (wrong_c * batch.label).any()
    right, wrong = (nets["discriminator"](batch.image, c) for c in (batch.label, wrong_c))
    expected = 3 * objective.loss.discriminator(right, wrong)
    assert_close(terms["mismatched_pairs"], expected)
    assert_close(batch.reports["accuracy/mismatched"], [(right > wrong).float().mean()])


def test_term_leaves_generator_and_adversarial_term_alone():
    def terms(weight):
        nets = Networks({"generator": Labelled(), "discriminator": Spy()})
        batch, found = labelled_batch(), []
        batch.fields["image"] = torch.linspace(-1, 1, 1024).view(64, 1, 4, 4)
        for phase in labelled_toy().phases(objective_of(Relativistic, weight)):
            torch.manual_seed(0)
            found.append(phase.loss(nets, batch))
        return found

    (with_disc, with_gen), (disc, gen) = terms(1.0), terms(0.0)
    assert_close([with_gen, with_disc["adversarial"]], [gen, disc["adversarial"]])
    assert sorted(disc) == ["adversarial"]


def test_data_without_conditions_are_a_caveat_and_add_nothing():
    term = MismatchedPairs(MismatchedPairsConfig())
    toy = LabelledToy(ToyConfig(), LABELLED)
    assert term.caveats(toy) == []
    without = LabelledToy(ToyConfig(), type(LABELLED)(4, 4, 1))
    (caveat,) = term.caveats(without)
    assert "has no effect: 'toy' has no conditions of these images" in caveat


def test_architecture_that_reads_no_condition_is_refused():
    with pytest.raises(
        ConfigError, match=r"loss\.terms: 'mismatched_pairs' .*'toy' as it is set up"
    ):
        toy_run(toy_config(loss=TERM))


def test_discriminator_that_does_not_see_the_condition_refuses_the_term():
    from ganforge_dcgan.acgan import Acgan

    acgan = Acgan(Acgan.Config(), type(LABELLED)(32, 32, 1, class_names=tuple("abcd")))
    with pytest.raises(
        ConfigError,
        match=r"loss\.terms: 'mismatched_pairs' cannot .*'acgan' does not read the class",
    ):
        acgan.check(objective_of(NonSaturating, 1.0))
