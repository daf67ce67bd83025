import pytest
import torch
from torch import nn
from torch.testing import assert_close

from ganforge.api import Batch, Networks, Phase, Regularizer
from ganforge.interfaces.objective import (
    GradientPenaltyConfig,
    PenaltyInput,
    RegularizerConfig,
)
from ganforge.objectives.penalties import with_penalties
from ganforge.objectives.regularizers import WeightClipping

NETS = Networks({"discriminator": nn.Linear(1, 1)})
BATCH = Batch({"image": torch.zeros(2, 1, 2, 2)})


class Level(Regularizer):
    """The mean of the images."""

    name, target = "level", "discriminator"
    Config = RegularizerConfig

    def penalty(self, inputs):
        return inputs.real_img.mean()


def phase(every=1, after_step=None):
    loss = lambda nets, batch: {"adversarial": torch.tensor(1.0)}  # noqa: E731
    return Phase("discriminator", ("discriminator",), loss, every=every, after_step=after_step)


def inputs(nets, batch):
    def at(level):
        network = nets["discriminator"]
        img = torch.full((2, 1, 2, 2), level)
        return PenaltyInput(network, network, network, img, lambda: img, lambda n: (img, img))

    return {"": at(3.0), "_coarse": at(5.0)}


def test_penalties_of_every_step_join_the_loss_one_term_for_each_input():
    (only,) = with_penalties(phase(), [Level(RegularizerConfig())], inputs)
    assert_close(
        only.loss(NETS, BATCH),
        {
            "adversarial": torch.tensor(1.0),
            "level": torch.tensor(3.0),
            "level_coarse": torch.tensor(5.0),
        },
    )


def test_lazy_penalty_is_a_phase_whose_terms_make_up_for_its_interval():
    main, lazy = with_penalties(phase(every=2), [Level(RegularizerConfig(every=4))], inputs)
    assert main.loss(NETS, BATCH).keys() == {"adversarial"}
    assert (lazy.name, lazy.every, lazy.lazy) == ("discriminator_level", 8, True)
    assert_close(lazy.loss(NETS, BATCH)["level"], torch.tensor(12.0))


class Autocast(Level):
    """Whether autocast is on."""

    def penalty(self, inputs):
        return torch.tensor(float(torch.is_autocast_enabled("cpu")))


@pytest.mark.parametrize(
    ("precision", "dtype", "is_on"),
    [
        ("mixed", torch.bfloat16, True),
        ("mixed", torch.float16, False),  # gradients at the images would underflow
        ("fp32", torch.bfloat16, False),
    ],
)
def test_penalty_takes_the_forward_passes_precision_only_where_it_says_so(precision, dtype, is_on):
    regularizer = Autocast(GradientPenaltyConfig(precision=precision))
    (only,) = with_penalties(phase(), [regularizer], inputs)
    with torch.autocast("cpu", dtype):
        assert only.loss(NETS, BATCH)["level"] == is_on
    assert only.loss(NETS, BATCH)["level"] == 0.0


def test_projection_follows_what_the_phase_does_after_its_step():
    weight = NETS["discriminator"].weight
    clip = WeightClipping(WeightClipping.Config(limit=0.01))
    own = phase(after_step=lambda nets: nn.init.constant_(nets["discriminator"].weight, 7.0))
    (clipped,) = with_penalties(own, [clip], inputs)
    clipped.after_step(NETS)
    assert_close(weight.detach(), torch.full((1, 1), 0.01))


def test_phase_without_regularizers_computes_no_inputs():
    (plain,) = with_penalties(phase(), [], lambda nets, batch: 1 / 0)
    assert plain.loss(NETS, BATCH).keys() == {"adversarial"}
