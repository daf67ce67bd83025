import time

import huggingface_hub.constants
import pytest
from huggingface_hub import HfApi
from minihub import Blob
from torch.testing import assert_close

import ganforge
from ganforge.errors import PluginNotFound, PublishError
from ganforge.hub.pull import Location, pull
from ganforge.hub.push import push_folder
from ganforge.inference.pretrained import PretrainedGan

FILES = {"README.md", "config.json", "model.safetensors", "samples.png"}


def pixels(model):
    return model.generate(2, output_type="pt")


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


@pytest.mark.parametrize("name", ["", "  "])
def test_pull_empty_name_is_not_the_current_folder(exported, monkeypatch, name):
    monkeypatch.chdir(exported)
    with pytest.raises(PublishError, match=r"empty name .*Give an export's folder.*owner/name"):
        pull(name)


def test_pull_missing_folder_says_so(tmp_path):
    with pytest.raises(PublishError, match="There is no folder .*nowhere. Check the path"):
        pull(tmp_path / "nowhere")


def test_pull_of_a_file_says_that_a_model_is_a_folder(exported, monkeypatch):
    monkeypatch.chdir(exported)
    with pytest.raises(PublishError, match="config.json is a file. A model is the folder of an"):
        pull("config.json")


def test_pull_missing_run_beside_others_is_not_looked_up_on_the_hub(tmp_path, monkeypatch):
    (tmp_path / "runs" / "faces-1").mkdir(parents=True)
    (tmp_path / "runs" / "faces-1" / "config.yaml").touch()
    monkeypatch.chdir(tmp_path)
    with pytest.raises(PublishError, match=r"no runs/faces-2: Did you mean 'faces-1'\?.*looked in"):
        pull("runs/faces-2")


def test_pull_revision_of_a_folder_is_refused(exported):
    with pytest.raises(PublishError, match="revision='v1'.*is a folder on disk"):
        pull(exported, revision="v1")


def test_pull_run_folder_uses_its_export(exported):
    assert pull(exported.parent) == exported


def test_pull_takes_the_discriminator_and_from_pretrained_does_not(hub, export, others):
    push_folder(export(others=others), "org/tiny")
    ganforge.from_pretrained("org/tiny")
    assert not any(request.endswith("discriminator.safetensors") for request in hub.requests)
    assert (pull("org/tiny") / "discriminator.safetensors").is_file()


def test_folder_below_the_home_is_found_as_a_shell_would(exported, monkeypatch):
    monkeypatch.setenv("HOME", str(exported.parent))
    assert Location(f"~/{exported.name}").is_folder


def test_names_are_taken_as_people_copy_them(hub):
    page = f"{huggingface_hub.constants.ENDPOINT}/org/tiny/tree/main"
    for copied in ("org/tiny", "org/tiny/", page, page.removesuffix("/tree/main")):
        assert Location(copied).path_or_repo == "org/tiny"
    assert Location("https://example.org/org/tiny").path_or_repo == "https://example.org/org/tiny"


def test_pointer_of_git_lfs_in_place_of_the_weights_is_named(exported):
    pointer = "version https://git-lfs.github.com/spec/v1\noid sha256:0\nsize 1\n"
    (exported / "model.safetensors").write_text(pointer)
    with pytest.raises(PublishError, match=r"is a pointer of Git LFS.*git lfs pull"):
        pull(exported)
