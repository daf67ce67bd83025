"""ganforge's networks, losses and gradients against numbers that the authors' code gave.

docs/parity.md says which code, and how the numbers are made.
"""

import json
from pathlib import Path

import pytest
import torch
from parity import formula
from parity.cases import CASES, measure
from parity.counts import COUNTS
from parity.frozen import registered
from small import num_parameters

from ganforge.api import Architecture
from ganforge.registry.plugins import get_registry

NUMBERS = Path(__file__).parent / "numbers"
# Below this part of the largest gradient's size, a gradient is rounding error.
FLOOR = 1e-4


def recorded(name):
    return json.loads((NUMBERS / f"{name}.json").read_text())


@pytest.fixture(autouse=True)
def frozen_features():
    with registered():
        yield


@pytest.mark.parametrize(
    ("architecture", "options", "spec", "expected"),
    COUNTS,
    ids=[f"{name}-{spec.height}-{spec.num_classes}" for name, _, spec, _ in COUNTS],
)
def test_parameters_at_the_papers_sizes_are_the_authors(architecture, options, spec, expected):
    component, config = get_registry().configure(Architecture, architecture, options, "model")
    networks = component(config, spec).meta_networks()
    assert {role: num_parameters(networks[role]) for role in expected} == expected


@pytest.mark.parametrize("name", CASES)
def test_outputs_losses_and_gradients_are_the_authors(name):
    tolerance, found, theirs = CASES[name].tolerance, measure(CASES[name]), recorded(name)
    for output, values in theirs["outputs"].items():
        assert formula.difference(found["outputs"][output], values) < tolerance, output
    assert found["losses"].keys() == theirs["losses"].keys()
    for phase, terms in theirs["losses"].items():
        assert found["losses"][phase] == pytest.approx(terms, rel=tolerance), phase
    for phase, gradients in theirs["gradients"].items():
        assert found["gradients"][phase].keys() == gradients.keys()
        floor = FLOOR * max(values[0] for values in gradients.values())
        for parameter, values in gradients.items():
            difference = formula.difference(found["gradients"][phase][parameter], values, floor)
            assert difference < tolerance, f"{phase}: {parameter}"


def test_every_file_of_numbers_names_its_source_and_has_a_case():
    assert {path.stem for path in NUMBERS.glob("*.json")} == {*CASES, "ada"}
    for path in NUMBERS.glob("*.json"):
        source = json.loads(path.read_text())
        assert source["repository"].count("/") == 1
        assert len(source["commit"]) == 40


# The tools themselves --------------------------------------------------------------------------


def test_formula_gives_the_same_numbers_for_a_name_whatever_came_before():
    first = formula.uniform("a.weight", (2, 3))
    assert torch.equal(first, formula.uniform("a.weight", (2, 3)))
    assert not torch.equal(first, formula.uniform("b.weight", (2, 3)))
    assert first.flatten()[:2].tolist() == pytest.approx([-0.3140534, -0.9484364])


def test_fixed_draws_depend_on_the_number_of_values_alone_and_end():
    with formula.fixed_draws():
        drawn = torch.randn(2, 3)
        assert torch.equal(drawn, torch.randn([3, 2]).reshape(2, 3))
        assert torch.equal(drawn, torch.randn_like(torch.zeros(2, 3)))
        assert torch.rand(100).min() >= 0
    assert not torch.equal(torch.randn(2, 3), torch.randn(2, 3))


def test_precision_is_put_back():
    with formula.precision(double=True):
        assert torch.zeros(1, dtype=torch.float32).float().dtype == torch.float64
        assert torch.zeros(1).dtype == torch.float64
    assert torch.zeros(1).float().dtype == torch.float32


@pytest.mark.parametrize(
    ("ours", "theirs", "expected"),
    [([2.0, 1.0], [2.0, 1.0], 0.0), ([2.0, 1.3], [2.0, 1.0], 0.1), ([0.0, 0.1], [0.0, 0.0], 0.1)],
)
def test_difference_is_relative_to_value_and_size(ours, theirs, expected):
    assert formula.difference(ours, theirs, floor=1.0) == pytest.approx(expected)
