import pytest
from minihub import Blob

from ganforge.errors import PublishError
from ganforge.hub.push import push_folder

FILES = {"README.md", "config.json", "model.safetensors", "samples.png"}


def test_push_new_repo_uploads_every_file_in_one_commit(hub, exported, pushed):
    repo = hub.model("org/tiny")
    assert set(repo.files) == FILES | {".gitattributes"}
    assert {n: repo.files[n].data for n in FILES} == {n: (exported / n).read_bytes() for n in FILES}
    assert repo.files["model.safetensors"].is_lfs
    assert pushed.commit_sha == repo.branches["main"]
    assert len(repo.commits) == 2
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


def test_push_name_without_owner_is_refused(hub, exported):
    with pytest.raises(PublishError, match="Use owner/name, e.g. org/tiny"):
        push_folder(exported, "tiny")


def test_push_discriminator_goes_along_and_leaves_with_the_export(hub, export, others):
    folder = export(others=others)
    push_folder(folder, "org/tiny")
    assert hub.model("org/tiny").files["discriminator.safetensors"].is_lfs
    (folder / "discriminator.safetensors").write_bytes(b"")
    with pytest.raises(PublishError, match="discriminator.safetensors of .* is damaged"):
        push_folder(folder, "org/tiny")
    push_folder(export(), "org/tiny", message="only the generator")
    assert "discriminator.safetensors" not in hub.model("org/tiny").files
