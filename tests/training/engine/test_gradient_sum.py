import json

import pytest
import torch
from torch import nn
from training.engine.gradient_cases import CASES

from ganforge.errors import PluginContractError
from ganforge.training.engine.gradient_sum import GradientSum


@pytest.mark.dist
@pytest.mark.parametrize("name", CASES)
def test_gradient_sum_equals_a_plain_all_reduce_bit_for_bit(two_ranks, name):
    for rank in range(2):
        found = json.loads((two_ranks / f"gradients-{rank}.json").read_text())[name]
        assert found["unequal"] == [] and found["layouts"]


@pytest.mark.dist
def test_gradient_sum_starts_during_the_backward_pass_and_keeps_the_order(two_ranks):
    # Rank 1 does not reach the second layer, so that it sends later what rank 0 sends at once.
    found = [json.loads((two_ranks / f"gradients-{r}.json").read_text()) for r in range(2)]
    assert [part["float32"]["early"] for part in found] == [5, 1]
    assert found[0]["float32"]["buckets"] == found[1]["float32"]["buckets"] > 5


class TwoRanks:
    """A runtime whose other rank has the same gradients."""

    world_size = 2

    def start_sum(self, tensor):
        tensor.mul_(2)
        return self

    def wait(self):
        pass


def test_gradient_sum_of_one_rank_leaves_gradients_where_they_are():
    layer = nn.Linear(2, 1)
    alone = type("Alone", (), {"world_size": 1})()
    gradients = GradientSum(alone, dict(layer.named_parameters()))
    layer.weight.sum().backward()
    before = layer.weight.grad
    found = gradients.finish()
    assert found[0] is before and torch.equal(found[1], torch.zeros(1))


def test_gradient_sum_refuses_a_gradient_after_its_bucket_was_sent():
    layer = nn.Linear(2, 1)
    gradients = GradientSum(TwoRanks(), dict(layer.named_parameters()), bucket_bytes=1)
    with gradients.watching():
        layer(torch.ones(1, 2)).sum().backward()
        with pytest.raises(PluginContractError, match="gradient of bias arrives twice.*reentrant"):
            layer(torch.ones(1, 2)).sum().backward()


def test_gradient_sum_without_overlap_waits_for_the_end():
    layer = nn.Linear(2, 1)
    gradients = GradientSum(TwoRanks(), dict(layer.named_parameters()), overlaps=False)
    with gradients.watching():
        layer(torch.ones(1, 2)).sum().backward()
        assert gradients.num_sent == 0
    assert [g.tolist() for g in gradients.finish()] == [[[2.0, 2.0]], [2.0]]
