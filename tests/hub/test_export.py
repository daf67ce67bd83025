import json
import re

import pytest
import safetensors.torch
import torch
import yaml
from huggingface_hub import ModelCard
from PIL import Image
from torch.testing import assert_close

import ganforge
from ganforge.errors import PublishError
from ganforge.hub.card import CardInfo
from ganforge.hub.export import export_model
from ganforge.hub.format import file_sha256, read_info
from ganforge.imaging.save import save_images


@pytest.fixture
def export(tmp_path, architecture, networks, spec):
    def run(folder=tmp_path / "again", **changes):
        arguments = {
            "architecture": architecture,
            "networks": networks,
            "spec": spec,
            "nimg": 1000,
            "card": CardInfo(name="Tiny"),
        }
        return export_model(folder, **(arguments | changes))

    return run


def test_export_model_writes_exactly_the_published_files(exported):
    names = sorted(path.name for path in exported.iterdir())
    assert names == ["README.md", "config.json", "model.safetensors", "samples.png"]
    assert [p.name for p in exported.parent.iterdir()] == ["export"], "no temporary folder is left"
    assert exported.stat().st_mode & 0o777 == 0o755


def test_export_model_config_tells_all_that_loading_needs(exported):
    config = json.loads((exported / "config.json").read_text())
    assert config["architecture"] == "tiny"
    assert config["options"] == {"z_dim": 5}
    assert config["plugin"] == {"distribution": "ganforge-tiny", "version": "1.2.0"}
    assert config["image_spec"]["class_names"] == ["bag", "boot", "shirt"]
    assert config["conditioning"] == ["label"]
    assert config["nimg"] == 64000
    assert config["metrics"][0]["value"] == 12.34567
    assert config["ganforge_version"] == ganforge.__version__
    assert config["dtype"] == "float32"
    assert config["weights_sha256"] == file_sha256(exported / "model.safetensors")


def test_export_model_weights_are_the_generating_networks_only(exported, networks):
    state = safetensors.torch.load_file(exported / "model.safetensors")
    expected = {f"generator.{k}": v for k, v in networks["generator"].state_dict().items()}
    assert_close(state, expected)


def test_export_model_tied_and_strided_weights_are_written(export, networks):
    generator = networks["generator"]
    generator.tied = generator.out
    generator.out.weight.data = generator.out.weight.data.t().contiguous().t()
    state = safetensors.torch.load_file(export() / "model.safetensors")
    assert_close(state["generator.tied.weight"], state["generator.out.weight"])


def test_export_model_again_replaces_the_folder(export, tmp_path):
    folder = export()
    (folder / "stale.txt").write_text("old")
    export(nimg=2000)
    assert not (folder / "stale.txt").exists()
    assert read_info(folder, "again").nimg == 2000
    assert [p.name for p in tmp_path.iterdir()] == ["again"]


def test_export_model_failure_leaves_the_earlier_export(export, tmp_path):
    folder = export()
    with pytest.raises(PublishError, match="must be finite numbers"):
        export(metrics=[{"name": "fid", "value": float("nan")}])
    assert read_info(folder, "again").nimg == 1000
    assert [p.name for p in tmp_path.iterdir()] == ["again"]


def test_export_model_other_folder_is_left_alone(export, tmp_path):
    (tmp_path / "again").mkdir()
    (tmp_path / "again" / "thesis.tex").write_text("dear")
    with pytest.raises(PublishError, match="again exists and is not an export.*another folder"):
        export()
    assert (tmp_path / "again" / "thesis.tex").read_text() == "dear"


def test_export_model_missing_role_names_it(export):
    with pytest.raises(PublishError, match="generates with generator, but generator is not among"):
        export(networks={"discriminator": torch.nn.Linear(1, 1)})


def test_export_model_metric_without_value_names_its_place(export):
    with pytest.raises(
        PublishError, match=r"metrics\[0\] has the fields \['name'\]; a metric needs"
    ):
        export(metrics=[{"name": "fid"}])


def test_card_metadata_is_what_the_hub_indexes(exported):
    data = ModelCard.load(exported / "README.md").data
    assert data.library_name == "ganforge"
    assert {"ganforge", "gan", "tiny"} <= set(data.tags)
    assert data.pipeline_tag is None, "the Hub has no tag for images by class"
    assert (data.license, data.datasets) == ("mit", "org/clothes")
    (result,) = data.eval_results
    assert (result.metric_type, result.metric_value) == ("fid", 12.34567)
    assert (result.dataset_type, result.metric_args) == (
        "org/clothes",
        {"n_gen": 5000, "n_real": 10000},
    )


def test_card_text_shows_metrics_grid_data_and_how_to_load(exported):
    text = (exported / "README.md").read_text()
    row = "| frechet_distance | 12.35 | 5000 | 10000 | extractor tiny-features; extractor_sha256 "
    assert row + "abababababab; precision fp32; seed 0; nimg 64000 |" in text
    assert "![Samples](samples.png)" in text
    assert "Trained on org/clothes (10000 images)." in text
    assert "Classes, by index: 0 bag, 1 boot, 2 shirt." in text
    assert 'ganforge.from_pretrained("org/tiny")' in text
    assert "ganforge generate org/tiny" in text
    assert "pip install ganforge-tiny" in text
    assert "| Batch size | 64 |" in text
    assert "arXiv:0000.00000" in text
    assert "\n\n\n" not in text


def test_card_python_example_compiles(exported, exported_translator):
    for folder in (exported, exported_translator):
        (code,) = re.findall(r"```python\n(.*?)```", (folder / "README.md").read_text(), re.DOTALL)
        compile(code, "README.md", "exec")


def test_card_without_optional_facts_is_honest(exported_plain):
    text = (exported_plain / "README.md").read_text()
    assert "This model has not been measured." in text
    assert "The training data was not described" in text
    assert "samples.png" not in text
    assert "labels=" not in text
    data = ModelCard.load(exported_plain / "README.md").data
    assert data.license is None
    assert data.pipeline_tag == "unconditional-image-generation"
    assert data.eval_results is None


def test_card_of_a_translation_model_shows_translate(exported_translator):
    text = (exported_translator / "README.md").read_text()
    assert "model.translate(" in text
    assert "ganforge translate path/to/this/folder" in text
    assert ModelCard.load(exported_translator / "README.md").data.pipeline_tag == "image-to-image"


def test_card_free_text_licence_and_dataset_stay_valid_metadata(export):
    folder = export(
        card=CardInfo(name="A: b", license="Ask me first", dataset="10k photos | mine"),
        metrics=[{"name": "fid", "value": 1.0}],
    )
    text = (folder / "README.md").read_text()
    metadata = yaml.safe_load(text.split("---")[1])
    assert (metadata["license"], metadata["license_name"]) == ("other", "Ask me first")
    assert "datasets" not in metadata
    result = metadata["model-index"][0]["results"][0]
    assert result["dataset"] == {"name": "10k photos | mine", "type": "10k-photos-mine"}


def test_save_images_writes_numbered_files(tmp_path):
    images = [Image.new("L", (2, 2), v) for v in (10, 20)]
    paths = save_images(images, tmp_path / "out")
    assert [p.name for p in paths] == ["000000.png", "000001.png"]
    assert Image.open(paths[1]).getpixel((0, 0)) == 20
    (named,) = save_images(images[:1], tmp_path / "out", ["seed7"])
    assert named.name == "seed7.png"
