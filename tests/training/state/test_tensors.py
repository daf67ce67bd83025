"""Copying between named tensors: strictly for a resume, leniently for a warm start."""

import pytest
import torch
from torch.testing import assert_close

from ganforge.errors import CheckpointError
from ganforge.training.state.tensors import (
    by_role,
    compare,
    copy_matching,
    flatten,
    load_networks,
    storable,
)


def test_load_networks_is_the_inverse_of_flatten():
    saved = {"a": torch.nn.Linear(2, 3), "b": torch.nn.BatchNorm1d(3)}
    networks = {"a": torch.nn.Linear(2, 3), "b": torch.nn.BatchNorm1d(3)}
    saved["b"].running_mean.fill_(7)
    tensors = flatten({role: network.state_dict() for role, network in saved.items()})
    load_networks(networks, tensors)
    for role, network in networks.items():
        assert_close(network.state_dict(), saved[role].state_dict())


def test_load_networks_of_other_tensors_names_them_and_loads_nothing():
    network = torch.nn.Linear(2, 3)
    before = network.weight.clone()
    tensors = {"a.weight": torch.zeros(3, 2), "a.stray": torch.zeros(1)}
    with pytest.raises(CheckpointError, match=r"^2 tensor.s. differ: missing a.bias; unexpected a"):
        load_networks({"a": network}, tensors)
    tensors = {"a.weight": torch.zeros(3, 2), "a.bias": torch.zeros(4)}
    with pytest.raises(CheckpointError, match=r"a.bias is \[4\], not \[3\]"):
        load_networks({"a": network}, tensors)
    assert_close(network.weight, before)


def test_by_role_is_the_inverse_of_flatten():
    states = {"a": {"layers.0.w": torch.ones(1)}, "b": {"w": torch.zeros(2)}}
    assert by_role(flatten(states)) == states


def test_storable_separates_tensors_that_share_memory():
    whole = torch.arange(4.0)
    stored = storable({"a": whole, "b": whole, "c": whole[:2]})
    assert_close(stored, {"a": whole, "b": whole, "c": whole[:2]})
    assert len({tensor.data_ptr() for tensor in stored.values()}) == 3


def test_compare_sorts_names_by_how_they_fit():
    meta = {"same": (2,), "wider": (3,), "new": (1,)}
    live = {name: torch.empty(shape, device="meta") for name, shape in meta.items()}
    saved = {"same": torch.zeros(2), "wider": torch.zeros(2), "old": torch.zeros(5)}
    found = compare(live, saved)
    assert (found.matching, found.missing, found.unused) == (("same",), ("new",), ("old",))
    assert found.reshaped == {"wider": ((2,), (3,))}


def test_copy_matching_changes_the_named_tensors_only():
    live = {"a": torch.zeros(2), "b": torch.zeros(2)}
    copy_matching(live, {"a": torch.ones(2), "b": torch.ones(2)}, ["a"])
    assert_close(live, {"a": torch.ones(2), "b": torch.zeros(2)})
