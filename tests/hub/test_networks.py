import pytest
from minihub import Blob
from torch.testing import assert_close

from ganforge.errors import PublishError
from ganforge.hub.networks import fetch_networks
from ganforge.hub.pull import Location
from ganforge.hub.push import push_folder


def test_fetch_networks_of_an_export_are_its_state_dicts(export, networks, others):
    found = fetch_networks(Location(str(export(others=others))))
    assert found.tensors.keys() == {"generator", "discriminator"}
    for role, tensors in found.tensors.items():
        assert_close(tensors, dict(networks[role].state_dict()))
    assert (found.architecture, found.options, found.nimg) == ("tiny", {"z_dim": 5}, 1000)
    assert found.image_spec["height"] == 8


def test_fetch_networks_without_a_discriminator_are_the_generating_ones(exported):
    assert fetch_networks(Location(str(exported))).tensors.keys() == {"generator"}


def test_fetch_networks_of_a_repository_name_its_commit_and_need_no_plugin(
    hub, export, others, use_plugin
):
    pushed = push_folder(export(others=others), "org/tiny")
    use_plugin()
    found = fetch_networks(Location("org/tiny"))
    assert found.tensors.keys() == {"generator", "discriminator"}
    assert found.name == f"org/tiny at {pushed.commit_sha[:12]}"


def test_fetch_networks_refuses_a_tampered_repository(hub, export, others):
    push_folder(export(others=others), "org/tiny")
    repo = hub.model("org/tiny")
    tampered = Blob(b"pickle", is_lfs=True)
    repo.commit({**repo.files, "discriminator.safetensors": tampered}, "tamper")
    with pytest.raises(PublishError, match="discriminator.safetensors of org/tiny is damaged"):
        fetch_networks(Location("org/tiny"))
