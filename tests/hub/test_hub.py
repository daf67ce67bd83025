import shutil
import time

import huggingface_hub.constants
import pytest
from huggingface_hub import HfApi
from minihub import READ_TOKEN, Blob
from torch.testing import assert_close

import ganforge
from ganforge.errors import PluginNotFound, PublishError
from ganforge.hub.pull import pull
from ganforge.hub.push import push_folder
from ganforge.inference.pretrained import PretrainedGan

FILES = {"README.md", "config.json", "model.safetensors", "samples.png"}


def pixels(model):
    return model.generate(2, output_type="pt")


@pytest.fixture
def pushed(hub, exported):
    return push_folder(exported, "org/tiny")


def test_push_new_repo_uploads_every_file_in_one_commit(hub, exported, pushed):
    repo = hub.model("org/tiny")
    assert set(repo.files) == FILES | {".gitattributes"}
    assert {n: repo.files[n].data for n in FILES} == {n: (exported / n).read_bytes() for n in FILES}
    assert repo.files["model.safetensors"].is_lfs
    assert pushed.commit_sha == repo.branches["main"]
    assert len(repo.commits) == 2
    assert (pushed.repo_id, pushed.revision) == ("org/tiny", "main")
    assert pushed.url == f"{hub.url}/org/tiny"
    assert repo.resolve("main").title == "Upload tiny at 64 kimg"
    assert not repo.private


def test_push_again_unchanged_makes_no_commit(hub, exported, pushed):
    again = push_folder(exported, "org/tiny")
    assert again.commit_sha == pushed.commit_sha


def test_push_without_samples_removes_the_stale_grid(hub, exported, pushed):
    (exported / "samples.png").unlink()
    push_folder(exported, "org/tiny", message="No grid")
    repo = hub.model("org/tiny")
    assert "samples.png" not in repo.files
    assert repo.resolve("main").title == "No grid"


def test_push_foreign_files_stay_on_both_sides(hub, exported, pushed):
    repo = hub.model("org/tiny")
    repo.commit({**repo.files, "NOTES.md": Blob(b"by hand")}, "notes")
    (exported / "private.key").write_text("secret")
    push_folder(exported, "org/tiny", message="again")
    assert "NOTES.md" in repo.files
    assert "private.key" not in repo.files


def test_push_private_makes_a_private_repo(hub, exported):
    push_folder(exported, "org/secret", private=True)
    assert hub.model("org/secret").private


def test_push_private_to_public_repo_is_refused_before_sending(hub, exported, pushed):
    before = len(hub.model("org/tiny").commits)
    with pytest.raises(PublishError, match="'org/tiny' exists and is public.*nothing was sent"):
        push_folder(exported, "org/tiny", private=True)
    assert len(hub.model("org/tiny").commits) == before


def test_push_to_branch_makes_it_and_leaves_main(hub, exported, pushed):
    (exported / "README.md").write_text("changed")
    result = push_folder(exported, "org/tiny", revision="dev")
    repo = hub.model("org/tiny")
    assert repo.branches["dev"] == result.commit_sha != repo.branches["main"]
    assert result.url.endswith("/org/tiny/tree/dev")


def test_push_damaged_weights_are_refused_before_sending(hub, exported):
    (exported / "model.safetensors").write_bytes(b"half")
    with pytest.raises(PublishError, match="model.safetensors of .* is damaged"):
        push_folder(exported, "org/tiny")
    assert hub.requests == []


def test_push_folder_without_card_is_refused(hub, exported):
    (exported / "README.md").unlink()
    with pytest.raises(PublishError, match="has no README.md"):
        push_folder(exported, "org/tiny")
    assert hub.requests == []


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


def test_push_name_without_owner_is_refused(hub, exported):
    with pytest.raises(PublishError, match="Use owner/name, e.g. org/tiny"):
        push_folder(exported, "tiny")


def test_push_invalid_name_is_refused(hub, exported):
    with pytest.raises(PublishError, match="Cannot push to 'org/ti ny': this is neither"):
        push_folder(exported, "org/ti ny")


def test_push_without_network_fails_in_seconds(disconnect, exported):
    disconnect()
    start = time.monotonic()
    with pytest.raises(PublishError, match="Hub cannot be reached .*Check the network"):
        push_folder(exported, "org/tiny")
    assert time.monotonic() - start < 5


def test_from_pretrained_hub_model_equals_the_folder(hub, exported, pushed):
    expected = pixels(PretrainedGan.from_pretrained(exported))
    assert_close(pixels(ganforge.from_pretrained("org/tiny")), expected)


def test_from_pretrained_each_revision_has_its_own_weights(hub, exported, exported_plain, pushed):
    HfApi().create_tag("org/tiny", tag="v1")
    push_folder(exported_plain, "org/tiny")
    push_folder(exported_plain, "org/tiny", revision="dev")
    shapes = {
        revision: tuple(pixels(ganforge.from_pretrained("org/tiny", revision=revision)).shape)
        for revision in (None, "main", "v1", "dev", pushed.commit_sha)
    }
    assert shapes == {
        None: (2, 1, 8, 8),
        "main": (2, 1, 8, 8),
        "v1": (2, 3, 8, 8),
        "dev": (2, 1, 8, 8),
        pushed.commit_sha: (2, 3, 8, 8),
    }


def test_from_pretrained_offline_uses_the_cache(hub, pushed, tmp_path):
    expected = pixels(ganforge.from_pretrained("org/tiny", cache_dir=tmp_path / "mine"))
    hub.requests.clear()
    for revision in (None, pushed.commit_sha):
        model = ganforge.from_pretrained(
            "org/tiny", revision=revision, cache_dir=tmp_path / "mine", local_files_only=True
        )
        assert_close(pixels(model), expected)
    assert hub.requests == []


def test_from_pretrained_network_down_uses_the_cache(pushed, disconnect):
    expected = pixels(ganforge.from_pretrained("org/tiny"))
    disconnect()
    start = time.monotonic()
    assert_close(pixels(ganforge.from_pretrained("org/tiny")), expected)
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


def test_from_pretrained_repo_of_another_library_says_so(hub):
    hub.create("org/bert")
    with pytest.raises(PublishError, match="org/bert has no config.json, so it is not a complete"):
        ganforge.from_pretrained("org/bert")


def test_from_pretrained_repo_without_weights_says_so(hub, pushed):
    repo = hub.model("org/tiny")
    repo.commit({"config.json": repo.files["config.json"]}, "lose the weights")
    with pytest.raises(PublishError, match="org/tiny has no model.safetensors"):
        ganforge.from_pretrained("org/tiny")


def test_from_pretrained_tampered_repo_is_refused(hub, pushed):
    repo = hub.model("org/tiny")
    weights = repo.files["model.safetensors"].data
    tampered = Blob(weights[:-1] + bytes([weights[-1] ^ 1]), is_lfs=True)
    repo.commit({**repo.files, "model.safetensors": tampered}, "tamper")
    with pytest.raises(PublishError, match="model.safetensors of org/tiny is damaged"):
        ganforge.from_pretrained("org/tiny")


def test_from_pretrained_missing_plugin_downloads_no_weights(hub, pushed, use_plugin):
    use_plugin()
    hub.requests.clear()
    with pytest.raises(PluginNotFound, match="org/tiny needs .*pip install ganforge-tiny"):
        ganforge.from_pretrained("org/tiny")
    assert not any(request.endswith("model.safetensors") for request in hub.requests)


def test_from_pretrained_code_in_the_repo_is_not_even_downloaded(hub, pushed):
    repo = hub.model("org/tiny")
    repo.commit({**repo.files, "modeling.py": Blob(b"raise SystemExit")}, "code")
    pixels(ganforge.from_pretrained("org/tiny"))
    assert not any(request.endswith("modeling.py") for request in hub.requests)


def test_overloaded_hub_is_told_from_a_missing_model(hub, exported):
    hub.is_overloaded = True
    with pytest.raises(PublishError, match="'org/tiny' .*: the Hub cannot be reached .*503"):
        ganforge.from_pretrained("org/tiny")
    with pytest.raises(
        PublishError, match="Cannot push to 'org/tiny': the Hub answered 503.*later"
    ):
        push_folder(exported, "org/tiny")


def test_pull_hub_model_gives_all_its_files(hub, exported, pushed):
    folder = pull("org/tiny")
    assert {n: (folder / n).read_bytes() for n in FILES} == {
        n: (exported / n).read_bytes() for n in FILES
    }
    assert folder.name == pushed.commit_sha


def test_pull_folder_is_checked_and_returned(exported):
    assert pull(exported) == exported
    (exported / "model.safetensors").write_bytes(b"")
    with pytest.raises(PublishError, match="is damaged"):
        pull(exported)
