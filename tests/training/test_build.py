"""How networks are compiled."""

import pytest
import torch
from training.toy import toy_config

from ganforge.training import build
from ganforge.training.build import choose_compile


class TwoRanks:
    """What `choose_compile` sees of a runtime; the other rank has a fault, or none."""

    device, precision, world_size = torch.device("cpu"), "bf16", 2

    def __init__(self, other=None):
        self.other = other

    def gather_object(self, value):
        return [value, self.other]


@pytest.mark.parametrize(
    ("train", "mine", "other", "wanted", "why"),
    [
        ({"compile": True, "total_kimg": 1}, "a fault", None, True, "train.compile is true"),
        ({"compile": False}, None, None, False, "train.compile is false"),
        ({"total_kimg": 1}, None, None, False, "auto: 100 steps are too few"),
        ({}, None, None, True, "auto: a test compilation worked"),
        ({}, "no g++", None, False, "auto: no g++"),
        ({}, None, "no headers", False, "auto: no headers"),
    ],
)
def test_choose_compile_agrees_over_ranks_and_says_why(
    monkeypatch, train, mine, other, wanted, why
):
    monkeypatch.setattr(build, "compiler_fault", lambda device: mine)
    config = toy_config({"compile": "auto", "total_kimg": 100, "batch_size": 10, **train})

    found, reason = choose_compile(config, TwoRanks(other))

    assert found is wanted and why in reason
