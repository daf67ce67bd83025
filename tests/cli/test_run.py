import pytest
import yaml


def test_run_runs_the_stages(ganforge, pipeline, tmp_path):
    ganforge("run", pipeline)

    assert (tmp_path / "runs/tiny/shards/index.json").is_file()


def test_run_dry_prints_the_file_and_trains_nothing(ganforge, pipeline, tmp_path):
    output = ganforge("run", pipeline, "--dry-run", "model.base_channels=16").stdout

    assert yaml.safe_load(output)["model"]["base_channels"] == 16
    assert not (tmp_path / "runs").exists()


@pytest.mark.parametrize(
    ("override", "expected"),
    [
        ("model.base_chanels=16", "unknown key 'base_chanels'. Did you mean 'base_channels'"),
        ("train.sed=1", "train.sed (override 'train.sed=1')"),
        ("stages=[trian]", "Unknown stage 'trian'"),
    ],
)
def test_run_reports_faults_of_the_file(ganforge, pipeline, override, expected):
    assert expected in ganforge("run", pipeline, override, code=2).stderr


def test_run_missing_file_is_one_message(ganforge):
    assert ganforge("run", "no.yaml", code=2).stderr.startswith("Error: Pipeline file 'no.yaml'")
