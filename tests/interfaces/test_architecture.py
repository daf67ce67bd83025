import pytest
import torch
from small import GRAY, LABELLED
from torch import nn

from ganforge.api import Architecture, ConfigError, ImageSpec
from ganforge.interfaces.architecture import Phase, Reads


class Smallest(Architecture):
    """An architecture of one layer."""

    name, paper, optional_inputs = "smallest", "none", ("label", "text")
    generate_options = {"noise": "random or const"}

    def networks(self):
        return {"generator": nn.Linear(self.c_dim + 1, 1)}

    def phases(self, objective):
        return []

    def generate(self, nets, request):
        raise NotImplementedError


class Truncating(Smallest):
    """It truncates."""

    @classmethod
    def check_truncation(cls, truncation):
        pass


class Translator(Smallest):
    """It translates."""

    directions = ("source-to-target",)


def bound(spec, architecture=Smallest):
    return architecture(architecture.Config(), spec)


@pytest.mark.parametrize("every", [1, 3])
def test_phase_is_due_at_the_end_of_its_interval(every):
    phase = Phase("p", ("generator",), lambda nets, batch: {}, every=every)
    assert [step for step in range(6) if phase.is_due(step, 0, 0)] == list(
        range(every - 1, 6, every)
    )


def test_phase_with_a_schedule_of_its_own_is_due_where_both_agree():
    phase = Phase("p", (), lambda nets, batch: {}, every=2, due=lambda nimg, chunk: chunk == 0)
    assert phase.is_due(1, 8, 0)
    assert not phase.is_due(1, 8, 1) and not phase.is_due(0, 8, 0)


def test_reads_knows_its_fields_and_which_of_them_condition():
    reads = Reads(("image",), ("label", "source"))
    assert "image" in reads and "label" in reads and "text" not in reads
    assert reads.conditions == ("label",)


@pytest.mark.parametrize(
    ("spec", "conditions", "c_dim"),
    [
        (GRAY, (), 0),
        (LABELLED, ("label",), 3),
        (ImageSpec(8, 8, class_names=("a", "b"), text_dim=5), ("label", "text"), 7),
        (ImageSpec(8, 8, attribute_names=("smiles",)), (), 0),
    ],
)
def test_conditions_are_those_that_it_reads_and_the_data_have(spec, conditions, c_dim):
    architecture = bound(spec)
    assert (architecture.conditions, architecture.c_dim) == (conditions, c_dim)


def test_meta_networks_hold_no_weights():
    network = bound(LABELLED).meta_networks()["generator"]
    assert network.weight.is_meta and network.weight.shape == (1, 4)
    assert torch.nn.Linear(1, 1).weight.device.type == "cpu"


def test_request_with_known_options_passes():
    Smallest.check_request(None, {"noise": "const"})
    Translator.check_request(None, {"direction": "source-to-target"})


@pytest.mark.parametrize(
    ("truncation", "options", "message"),
    [
        (0.5, {}, "truncation=0.5 was given, but the architecture 'smallest' has no truncation"),
        (None, {"nois": 1}, "'smallest' has no generation option 'nois'.*noise"),
        (None, {"direction": "there"}, "no generation option 'direction'"),
    ],
)
def test_request_that_it_does_not_follow_is_refused(truncation, options, message):
    with pytest.raises(ConfigError, match=message):
        Smallest.check_request(truncation, options)


@pytest.mark.parametrize("truncation", [-1, float("nan"), float("inf"), "a"])
def test_truncation_that_is_no_finite_number_is_refused(truncation):
    Truncating.check_request(0.7, {})
    with pytest.raises(ConfigError, match=f"truncation={truncation} is not valid for 'smallest'"):
        Truncating.check_request(truncation, {})
