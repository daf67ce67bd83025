"""An environment that stops every HTTP client is named."""

import re

import pytest

from ganforge.io import network
from ganforge.io.network import network_faults


@pytest.mark.parametrize(
    "environ",
    [
        {},
        {"http_proxy": "127.0.0.1:9", "HTTPS_PROXY": "https://proxy:3128", "NO_PROXY": "*"},
        {"SSL_CERT_FILE": __file__, "HF_TOKEN": "hf_abc\n", "HF_ENDPOINT": "http://127.0.0.1:1"},
        {"ALL_PROXY": "", "SSL_CERT_FILE": "", "HF_ENDPOINT": ""},
    ],
)
def test_network_that_works_has_no_fault(environ):
    assert list(network_faults(environ)) == []


def test_network_with_a_proxy_of_an_unknown_kind_names_the_variable():
    (fault,) = network_faults({"ALL_PROXY": "socks://h:9"})
    assert re.search(r"ALL_PROXY is 'socks://h:9'.*\(socks5:// is meant", fault)


def test_network_with_a_socks_proxy_says_which_package_is_missing(monkeypatch):
    monkeypatch.setattr(network.importlib.util, "find_spec", lambda name: None)
    (fault,) = network_faults({"https_proxy": "socks5h://h:9"})
    assert re.search("https_proxy is 'socks5h://h:9'.*pip install socksio", fault)
    monkeypatch.setattr(network.importlib.util, "find_spec", lambda name: object())
    assert not list(network_faults({"https_proxy": "socks5h://h:9"}))


def test_network_with_missing_certificates_names_variable_and_path(tmp_path):
    path = str(tmp_path / "none.pem")
    (fault,) = network_faults({"SSL_CERT_FILE": path})
    assert re.search("SSL_CERT_FILE names .*none.pem, which does not exist", fault)


@pytest.mark.parametrize("token", ["“hf_x”", "hf_x y", "Bearer hf_x"])
def test_network_with_a_token_that_cannot_be_one_does_not_show_it(token):
    (fault,) = network_faults({"HF_TOKEN": token})
    assert "HF_TOKEN" in fault and "without quotes" in fault and "hf_x" not in fault


def test_network_with_an_endpoint_without_scheme_is_refused():
    (fault,) = network_faults({"HF_ENDPOINT": "hub.local"})
    assert re.search("HF_ENDPOINT is 'hub.local'.*https://", fault)
