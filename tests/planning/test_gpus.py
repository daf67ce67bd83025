import pytest

from ganforge.errors import ConfigError
from ganforge.planning.gpus import GPUS, Cluster, parse_count, parse_gpus


@pytest.mark.parametrize(
    ("text", "count", "name"),
    [
        ("64xH100", 64, "H100"),
        ("8Xa100", 8, "A100"),
        ("V100", 1, "V100"),
        (" 2 x H200 ", 2, "H200"),
    ],
)
def test_gpus_are_a_number_and_a_name(text, count, name):
    assert parse_gpus(text) == Cluster(count, GPUS[name])


@pytest.mark.parametrize("text", ["", "8", "0xH100", "8x", "-1xH100", "9999999xH100"])
def test_gpus_of_another_form_are_refused(text):
    with pytest.raises(ConfigError, match="Write e.g. 8xA100"):
        parse_gpus(text)


def test_unknown_gpu_lists_those_that_are_known():
    with pytest.raises(ConfigError, match=r"'H10'.*Did you mean 'H100'.*Valid: A100.*--measure"):
        parse_gpus("4xH10")


def test_node_is_bound_by_its_links_and_several_by_their_network():
    h100 = GPUS["H100"]
    assert Cluster(8, h100).bus_gb_per_sec == h100.link_gb_per_sec
    assert Cluster(16, h100).bus_gb_per_sec == h100.network_gb_per_sec


def test_measured_plan_takes_a_number():
    assert parse_count("8") == 8
    for text in ("0", "8xH100", ""):
        with pytest.raises(ConfigError, match="with --measure"):
            parse_count(text)
