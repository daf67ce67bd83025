import pytest
from published import Tiny, TinyConfig, TinyPlain, TinyTranslator, edit_config

from ganforge.errors import PublishError
from ganforge.hub.format import conditioning, repo_slug
from ganforge.hub.pull import pull
from ganforge.interfaces.spec import ImageSpec

SPEC = {"height": 8, "width": 8, "class_names": ["bag", "boot", "shirt"]}


def test_check_weights_refuses_tampered_weights(exported):
    path = exported / "model.safetensors"
    content = bytearray(path.read_bytes())
    content[-1] ^= 1
    path.write_bytes(content)
    with pytest.raises(PublishError, match="model.safetensors of .*export is damaged: its sha256"):
        pull(exported)


@pytest.mark.parametrize("name", ["config.json", "model.safetensors"])
def test_require_file_names_what_is_missing(exported, name):
    (exported / name).unlink()
    with pytest.raises(PublishError, match=f"export has no {name}.*found: README.md, .*Export it"):
        pull(exported)


def test_read_info_newer_format_says_upgrade(exported):
    edit_config(exported, format_version=2, ganforge_version="9.0", nobody_knows="this")
    with pytest.raises(PublishError, match=r"format 2; .* up to 1.*9.0: pip install --upgrade"):
        pull(exported)


def test_read_info_config_of_another_library_says_so(exported):
    (exported / "config.json").write_text('{"model_type": "bert"}')
    with pytest.raises(PublishError, match="no format_version: this is not a ganforge model"):
        pull(exported)


def test_read_info_config_that_is_not_json_says_so(exported):
    (exported / "config.json").write_text("{")
    with pytest.raises(PublishError, match="is not JSON .*download the model again"):
        pull(exported)


def test_read_info_invalid_config_names_the_field(exported):
    edit_config(exported, nimg=-1)
    with pytest.raises(PublishError, match="is not valid at 'nimg'.*Export or download"):
        pull(exported)


@pytest.mark.parametrize(
    ("changes", "key"),
    [
        ({"image_spec": {}}, "image_spec.height"),
        ({"image_spec": SPEC | {"height": "32"}}, "image_spec.height"),
        ({"image_spec": SPEC | {"width": -8}}, "image_spec.width"),
        ({"image_spec": SPEC | {"width": True}}, "image_spec.width"),
        ({"image_spec": SPEC | {"channels": 17}}, "image_spec.channels"),
        ({"image_spec": SPEC | {"class_names": 5}}, "image_spec.class_names"),
        ({"image_spec": SPEC | {"class_names": [5]}}, "image_spec.class_names.0"),
        ({"image_spec": SPEC | {"color": 1}}, "image_spec.color"),
        ({"image_spec": SPEC | {"text_encoding": {"nam": "x"}}}, "image_spec.text_encoding.name"),
        ({"image_spec": [8, 8]}, "image_spec"),
        ({"image_spec": {"height": 8, "width": 8}}, "conditioning"),
        ({"conditioning": ["smell"]}, "conditioning"),
        ({"format_version": True}, "format_version"),
        ({"format_version": 0}, "format_version"),
        ({"format_version": "1"}, "format_version"),
        ({"roles": "generator"}, "roles"),
        ({"dtype": "int64"}, "dtype"),
        ({"dtype": "nn"}, "dtype"),
    ],
)
def test_read_info_edited_config_names_file_and_key(exported, changes, key):
    edit_config(exported, **changes)
    with pytest.raises(PublishError, match=rf"config.json of .*export is not valid at '{key}': "):
        pull(exported)


def test_read_info_package_name_with_shell_syntax_is_refused(exported):
    edit_config(exported, plugin={"distribution": "x; rm -rf ~", "version": "1"})
    with pytest.raises(PublishError, match=r"not valid at 'plugin.distribution'"):
        pull(exported)


def test_require_file_of_a_run_without_an_export_says_how_to_make_one(tmp_path):
    (tmp_path / "checkpoints").mkdir()
    with pytest.raises(PublishError, match=r"is a run without an export.*'stages=\[publish\]'"):
        pull(tmp_path)


def test_conditioning_is_what_both_the_architecture_and_the_images_have():
    def of(kind, **fields):
        return conditioning(kind(TinyConfig(), ImageSpec(8, 8, **fields)))

    assert of(Tiny, class_names=("a",), attribute_names=("x",)) == ("label", "attributes")
    assert of(Tiny, class_names=("a",)) == ("label",)
    assert of(Tiny, text_dim=4) == (), "it takes no text"
    assert of(Tiny) == of(TinyPlain, class_names=("a",)) == ()
    assert of(TinyTranslator, source_channels=3) == ("source",)


@pytest.mark.parametrize(
    ("text", "slug"), [("10k photos | mine", "10k-photos-mine"), ("|", "unknown")]
)
def test_repo_slug_is_an_identifier(text, slug):
    assert repo_slug(text) == slug
