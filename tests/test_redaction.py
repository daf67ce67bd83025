import logging
import pickle

import pytest

from ganforge.errors import DataError, GanforgeError
from ganforge.redaction import hide_secrets, redacted

TOKEN = "hf_" + "Ab3" * 12


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        (f"token {TOKEN}.", "token hf_***."),
        ("curl -H 'Authorization: Basic bWU6cHc='", "curl -H 'Authorization: Basic ***'"),
        ("-H 'Authorization:Bearer abcdefgh.ij-k' x", "-H 'Authorization:Bearer ***' x"),
        ("ALL_PROXY is 'socks5://me:pw@host:9'", "ALL_PROXY is 'socks5://***@host:9'"),
        ("https://h/a.tar?token=abc&x=1", "https://h/a.tar?token=***&x=1"),
        ("s3://b/k?X-Amz-Signature=12ef&X-Amz-Credential=me", None),
    ],
)
def test_secret_is_hidden(text, shown):
    found = redacted(text)
    assert found == shown if shown else "12ef" not in found and "=me" not in found
    assert redacted({"a": [text]}) == {"a": [found]}


@pytest.mark.parametrize(
    "text",
    [
        *("a basic description of it", "hf_write", "https://host/a@b.png?x=1", "me@host"),
        *("https://host?mail=me@host", "key=value", "the bearer of it"),
    ],
)
def test_plain_text_stays(text):
    assert redacted(text) == text


def test_values_that_are_no_text_stay():
    value = {"a": (1, None, 0.5), "b": [True]}
    assert redacted(value) == value and isinstance(redacted(value)["a"], tuple)


def test_error_never_repeats_a_secret_even_pickled():
    err = DataError(f"curl {TOKEN} failed")
    assert str(pickle.loads(pickle.dumps(err))) == str(err) == "curl hf_*** failed"
    assert isinstance(err, GanforgeError)


def test_log_handler_with_the_filter_shows_no_secret(caplog):
    caplog.handler.addFilter(hide_secrets)
    logging.getLogger("ganforge").warning("Reading %s (%d)", f"http://me:pw@host/{TOKEN}", 3)
    assert caplog.messages == ["Reading http://***@host/hf_*** (3)"]
    caplog.handler.removeFilter(hide_secrets)
