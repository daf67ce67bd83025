import shutil
import time
from types import SimpleNamespace

import huggingface_hub.constants
import pytest
from huggingface_hub import errors
from minihub import READ_TOKEN

import ganforge
from ganforge.errors import PublishError
from ganforge.hub.errors import explain_hub_errors
from ganforge.hub.push import push_folder


def test_push_bad_token_says_so(hub, exported):
    with pytest.raises(PublishError, match="Cannot push to 'org/tiny': the token is not valid"):
        push_folder(exported, "org/tiny", token="hf_wrong")


def test_push_without_a_token_says_so(hub, exported, monkeypatch):
    monkeypatch.delenv("HF_TOKEN")
    with pytest.raises(PublishError, match="Cannot push to 'org/tiny': no token.*hf auth login"):
        push_folder(exported, "org/tiny")


def test_push_without_permission_says_so(hub, exported, pushed):
    (exported / "README.md").write_text("changed")
    for repo_id in ("org/tiny", "org/new"):
        with pytest.raises(PublishError, match=f"'{repo_id}': the token has no permission"):
            push_folder(exported, repo_id, token=READ_TOKEN)


def test_push_invalid_name_is_refused(hub, exported):
    with pytest.raises(PublishError, match="Cannot push to 'org/ti ny': this is neither"):
        push_folder(exported, "org/ti ny")


def test_push_without_network_fails_in_seconds(disconnect, exported):
    disconnect()
    start = time.monotonic()
    with pytest.raises(PublishError, match="Hub cannot be reached .*Check the network"):
        push_folder(exported, "org/tiny")
    assert time.monotonic() - start < 5


def test_from_pretrained_network_down_and_not_cached_fails_in_seconds(disconnect):
    disconnect()
    start = time.monotonic()
    with pytest.raises(PublishError, match="Hub cannot be reached .*not in the local cache either"):
        ganforge.from_pretrained("org/tiny")
    assert time.monotonic() - start < 5


def test_from_pretrained_local_only_and_not_cached_says_so(hub, pushed):
    with pytest.raises(
        PublishError, match="not in the local cache.*Leave out --offline .*local_files_only"
    ):
        ganforge.from_pretrained("org/tiny", local_files_only=True)
    assert not any("resolve" in request for request in hub.requests)


def test_from_pretrained_private_repo_wants_a_valid_token(hub, exported, monkeypatch):
    push_folder(exported, "org/secret", private=True)
    ganforge.from_pretrained("org/secret", token=READ_TOKEN)
    shutil.rmtree(huggingface_hub.constants.HF_HUB_CACHE)
    with pytest.raises(
        PublishError, match="'org/secret' .*: the token is not valid.*hf auth login"
    ):
        ganforge.from_pretrained("org/secret", token="hf_wrong")
    monkeypatch.delenv("HF_TOKEN")
    with pytest.raises(PublishError, match="'org/secret' .*: no such repository, or it is private"):
        ganforge.from_pretrained("org/secret")


def test_from_pretrained_unknown_repo_says_so(hub):
    with pytest.raises(
        PublishError,
        match="Cannot download 'org/nothing' .no folder has this name.: no such repository",
    ):
        ganforge.from_pretrained("org/nothing")


def test_from_pretrained_unknown_revision_is_named(hub, pushed):
    with pytest.raises(PublishError, match="at revision 'v9' .*no revision 'v9'. Name a branch"):
        ganforge.from_pretrained("org/tiny", revision="v9")


def test_from_pretrained_impossible_name_says_so(hub):
    with pytest.raises(PublishError, match="neither a folder nor a repository name"):
        ganforge.from_pretrained("export/of/mine")


def test_overloaded_hub_is_told_from_a_missing_model(hub, exported):
    hub.is_overloaded = True
    with pytest.raises(PublishError, match="'org/tiny' .*: the Hub cannot be reached .*503"):
        ganforge.from_pretrained("org/tiny")
    with pytest.raises(
        PublishError, match="Cannot push to 'org/tiny': the Hub answered 503.*later"
    ):
        push_folder(exported, "org/tiny")


def test_pull_with_a_proxy_of_an_unknown_kind_names_the_variable(hub, pushed, monkeypatch):
    monkeypatch.setenv("ALL_PROXY", "socks://127.0.0.1:9")

    def refuse(*args, **kwargs):
        raise ValueError("Unknown scheme for proxy URL")  # what the client says

    monkeypatch.setattr("huggingface_hub.HfApi.snapshot_download", refuse)
    with pytest.raises(PublishError, match="Cannot download 'org/tiny'.*ALL_PROXY is 'socks://"):
        ganforge.from_pretrained("org/tiny")


@pytest.mark.parametrize(("status", "advice"), [(400, "correct what it names"), (503, "later")])
def test_refusal_of_what_was_sent_is_not_to_be_tried_again(status, advice):
    error = errors.HfHubHTTPError.__new__(errors.HfHubHTTPError)
    error.response, error.server_message = SimpleNamespace(status_code=status), "license: no"
    with pytest.raises(PublishError, match=f"answered {status} .license: no.*{advice}"):
        with explain_hub_errors("push to", "org/tiny"):
            raise error
