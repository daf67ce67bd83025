import pytest
import yaml

from ganforge.config.load import load_pipeline
from ganforge.data.inspect import DatasetReport, ImageForm
from ganforge.registry.components import resolve
from ganforge.registry.plugins import get_registry
from ganforge.starters.pipeline_file import pipeline_text
from ganforge.starters.recipes import STARTERS, Setting, length, settings
from ganforge.starters.survey import Survey
from ganforge.training.preflight import check_labels

IMAGES = Survey(
    "images",
    ("in",),
    {"name": "folder", "path": "in"},
    DatasetReport("in", num_samples={"main": 3000}, forms={ImageForm(72, 72, 3, 8): 3000}),
    3000,
)


@pytest.mark.parametrize("starter", STARTERS, ids=lambda starter: starter.file)
def test_written_file_of_each_starter_is_a_whole_pipeline(starter, tmp_path):
    chosen = [*settings(IMAGES, starter, "my-run", (64, "why"))]
    chosen += length(IMAGES, starter, 10, 100, "here")
    text = pipeline_text(["3,000 images."], starter.file, chosen)
    path = tmp_path / "x.yaml"
    path.write_text(text)

    config = load_pipeline(str(path), (), get_registry().options_model)
    chosen_architecture = resolve(config).architecture

    assert len(text.splitlines()) <= 30
    assert config.model.architecture == starter.architecture
    assert config.train.batch_size == starter.batch_size
    assert config.train.max_minutes == 10
    check_labels(config, chosen_architecture.component, chosen_architecture.config)


@pytest.mark.parametrize(
    "text", ["photos", "my photos", "a: b", "#1", "yes", "12", "ünï", "a,b", "it's", '"', "~/x", ""]
)
def test_texts_come_back_from_the_file_as_they_were(text):
    written = pipeline_text([], "starters/images", [Setting("data.source", {"path": text}, "why")])
    assert yaml.safe_load(written)["data"]["source"] == {"path": text}


def test_each_line_says_why_beside_the_value():
    written = pipeline_text(["Found."], "base", [Setting("train.total_kimg", 54, "ten\nminutes")])
    assert written.splitlines()[0] == "# Found."
    assert written.splitlines()[-1] == "  total_kimg: 54              # ten minutes"
    assert yaml.safe_load(written) == {"extends": "base", "train": {"total_kimg": 54}}
