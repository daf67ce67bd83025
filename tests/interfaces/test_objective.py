import math

import pytest
import torch
from torch.nn import functional
from torch.testing import assert_close

from ganforge.api import AdversarialLoss, Batch, ConfigError, ObjectiveTerm
from ganforge.interfaces.objective import Augmentation, Objective
from ganforge.objectives.losses import NonSaturating, Relativistic, Wasserstein
from ganforge.objectives.regularizers import R1, PathLength

REAL, GEN = torch.tensor([2.0, -1.0]), torch.tensor([-3.0, 0.5])
PAIRS = torch.tensor(0.5)  # of two, one real image scores higher


class Flat(AdversarialLoss):
    """A loss of a package that does not say where its equilibrium is."""

    name = "flat"

    def discriminator(self, real_logits, gen_logits):
        return gen_logits.mean() - real_logits.mean()

    def generator(self, gen_logits, real_logits=None):
        return -gen_logits.mean()


class Spread(ObjectiveTerm):
    """The distance of the mean logits."""

    name = "spread"

    def discriminator(self, scores):
        return {"spread": scores.real.mean() - scores.gen.mean()}


class Brighter(Augmentation):
    """Adds one, and remembers what it observed."""

    name = "brighter"

    def forward(self, img):
        return img + 1

    def observe(self, real_logits):
        self.seen = real_logits


def objective(loss=NonSaturating, **parts):
    return Objective(loss(loss.Config()), **parts)


def batch():
    return Batch({"image": torch.zeros(2, 1, 2, 2)})


def test_discriminator_gives_the_loss_and_what_terms_add():
    terms = objective(terms=(Spread(Spread.Config()),)).discriminator(batch(), REAL, GEN)
    expected = functional.softplus(-REAL).mean() + functional.softplus(GEN).mean()
    assert_close(terms, {"adversarial": expected, "spread": torch.tensor(1.75)})


def test_discriminator_of_a_part_names_terms_and_reports_after_it():
    found = batch()
    terms = objective(terms=(Spread(Spread.Config()),)).discriminator(found, REAL, GEN, part="1")
    assert terms.keys() == {"adversarial_1", "spread_1"}
    assert {"logits/real", "logits/real_1", "accuracy/gen_1"} <= found.reports.keys()


@pytest.mark.parametrize(
    ("loss", "accuracies"),
    [
        (NonSaturating, {"accuracy/real": 0.5, "accuracy/gen": 0.5}),
        (Relativistic, {}),
        (Wasserstein, {}),
    ],
)
def test_discriminator_reports_the_accuracies_that_the_loss_defines(loss, accuracies):
    found = batch()
    objective(loss).discriminator(found, REAL, GEN)
    means = {name: [torch.tensor(value)] for name, value in accuracies.items()}
    always = {"logits/real": REAL.mean(), "logits/gen": GEN.mean(), "accuracy/pairs": PAIRS}
    reports = {n: v for n, v in found.reports.items() if not n.startswith("relative/")}
    assert_close(reports, {name: [value] for name, value in always.items()} | means)


def test_discriminator_reports_its_loss_and_the_gradient_against_their_equilibrium():
    found, level = batch(), torch.zeros(2)
    objective().discriminator(found, level, level)
    assert_close(found.reports["relative/discriminator_loss"], [torch.tensor(1.0)])
    assert_close(found.reports["relative/generator_gradient"], [torch.tensor(1.0)])
    assert_close(found.reports["accuracy/pairs"], [torch.tensor(0.5)])  # ties are half right
    objective().discriminator(found, REAL, GEN)
    loss = (functional.softplus(-REAL) + functional.softplus(GEN)).mean() / (2 * math.log(2))
    assert_close(found.reports["relative/discriminator_loss"][1], loss)
    gradient = torch.sigmoid(-GEN).mean() / 0.5
    assert_close(found.reports["relative/generator_gradient"][1], gradient)


@pytest.mark.parametrize("loss", [Wasserstein, Flat])
def test_discriminator_reports_nothing_relative_without_an_equilibrium(loss):
    found = batch()
    objective(loss).discriminator(found, REAL, GEN)
    assert not any(name.startswith("relative/") for name in found.reports)


def test_discriminator_reports_no_pairs_where_there_are_none():
    found = batch()
    objective().discriminator(found, REAL, GEN[:1])
    assert "accuracy/pairs" not in found.reports


def test_discriminator_feeds_adaptive_augmentation_unless_told_otherwise():
    chosen = objective(augmentation=Brighter(Brighter.Config()))
    chosen.discriminator(batch(), REAL, GEN, adapt=False)
    assert not hasattr(chosen.augmentation, "seen")
    chosen.discriminator(batch(), REAL, GEN)
    assert_close(chosen.augmentation.seen, REAL)


def test_generator_scores_real_images_only_if_the_loss_compares_with_them():
    terms = objective().generator(GEN, lambda: pytest.fail("scored real images"), part="2")
    assert_close(terms, {"adversarial_2": functional.softplus(-GEN).mean()})
    pairs = objective(Relativistic).generator(GEN, lambda: REAL)
    assert_close(pairs["adversarial"], functional.softplus(REAL - GEN).mean())


def test_augment_without_augmentation_returns_the_images_themselves():
    img = torch.zeros(1, 1, 2, 2)
    assert objective().augment(img) is img
    assert_close(objective(augmentation=Brighter(Brighter.Config())).augment(img), img + 1)


def test_augment_along_without_augmentation_returns_both_themselves():
    img, along = torch.zeros(1, 1, 2, 2), torch.ones(1, 5, 2, 2)
    assert objective().augment(img, along=along) == (img, along)


def test_augment_along_is_refused_by_an_augmentation_that_moves_no_pairs():
    chosen = objective(augmentation=Brighter(Brighter.Config()))
    with pytest.raises(ConfigError, match="augment.name=brighter cannot move.*Use ada or diffaug"):
        chosen.augment(torch.zeros(1, 1, 2, 2), along=torch.zeros(1, 1, 2, 2))


def test_augment_along_moves_the_condition_of_an_augmentation_that_can():
    class Mirror(Brighter):
        def paired(self, img, along):
            return self(img).flip(3), along.flip(3)

    along = torch.tensor([[[[1.0, 2.0]]]])
    out, moved = objective(augmentation=Mirror(Mirror.Config())).augment(along, along=along)
    assert_close(out, torch.tensor([[[[3.0, 2.0]]]]))
    assert_close(moved, torch.tensor([[[[2.0, 1.0]]]]))


def test_for_target_gives_the_regularizers_of_one_network():
    r1, path_length = R1(R1.Config()), PathLength(PathLength.Config())
    chosen = objective(regularizers=(r1, path_length))
    assert chosen.for_target("discriminator") == [r1]
    assert chosen.for_target("generator") == [path_length]


def test_refuse_term_names_it_where_it_is_listed_and_passes_otherwise():
    objective().refuse_term("spread", "it has no spread")
    with pytest.raises(ConfigError, match="'spread' cannot be used here: it has no spread. Remove"):
        objective(terms=(Spread(Spread.Config()),)).refuse_term("spread", "it has no spread")
