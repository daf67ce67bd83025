import dataclasses
import re

import pytest
import yaml
from huggingface_hub import ModelCard
from published import FID, TinyConfig, TinyTranslator, seeded_networks

from ganforge.hub.card import CardInfo
from ganforge.hub.export import export_model
from ganforge.interfaces.spec import ImageSpec


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


def test_card_of_a_video_model_shows_translate_video(exported_video):
    text = (exported_video / "README.md").read_text()
    assert 'model.translate_video("clip.mp4", "translated.mp4", direction="forward")' in text
    assert "ganforge translate path/to/this/folder clip.mp4 --out translated.mp4" in text
    assert "model.translate(" not in text


def test_card_free_text_license_and_dataset_stay_valid_metadata(export):
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


def test_card_shows_names_from_the_data_as_plain_text(export, architecture):
    names = ("<script>alert(1)</script>", "![x](http://localhost/x.png)", "a|b\n# c")
    spec = dataclasses.replace(architecture.spec, class_names=names)
    folder = export(architecture=type(architecture)(architecture.config, spec))
    text = (folder / "README.md").read_text().partition("## Data")[2]
    assert "0 &lt;script&gt;alert(1)&lt;/script&gt;, 1 \\!\\[x\\](http" in text
    assert "2 a\\|b # c." in text
    assert "<script" not in text


@pytest.mark.parametrize("dataset", ["./images", "/data/images", "../x/y", "~/photos"])
def test_card_does_not_take_a_path_for_a_data_set_of_the_hub(export, dataset):
    folder = export(card=CardInfo(name="Tiny", dataset=dataset))
    assert ModelCard.load(folder / "README.md").data.datasets is None


def test_card_holds_no_token(export):
    token = "hf_" + "a" * 34
    card = CardInfo(name="Tiny", dataset=f"https://me:pw12345@localhost/x.tar?token={token}")
    text = (export(card=card) / "README.md").read_text()
    assert token not in text and "pw12345" not in text


def test_card_says_how_to_train_on_where_the_discriminator_is_exported(export, others):
    text = (export(others=others) / "README.md").read_text()
    assert "write `init: path/to/this/folder` in a ganforge pipeline file" in text
    assert "holds the networks that do not generate (discriminator), with" in text
    assert "\n\n\n" not in text
    assert "discriminator" not in (export(others={}) / "README.md").read_text()


def test_card_of_a_measured_translator_names_its_task_and_no_training_data(tmp_path):
    architecture = TinyTranslator(TinyConfig(), ImageSpec(6, 8, 3, source_channels=1))
    folder = export_model(
        tmp_path / "measured",
        architecture=architecture,
        networks=seeded_networks(architecture),
        nimg=1000,
        metrics=[FID],
        card=CardInfo(name="Tiny"),
    )
    (result,) = ModelCard.load(folder / "README.md").data.eval_results
    assert result.task_type == "image-to-image"
    assert result.dataset_name == "reference images"
