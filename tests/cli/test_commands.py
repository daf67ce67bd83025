"""run, data, plugins and schema."""

import json

import pytest
import yaml
from PIL import Image

from ganforge.data.shards.index import load_index
from ganforge.plugin_tools import report

PIPELINE = """
name: tiny
stages: [prepare]
data:
  source: {{name: folder, path: {photos}}}
  resolution: 16
model: {{architecture: dcgan, base_channels: 8}}
"""


@pytest.fixture
def pipeline(ganforge, photos, tmp_path):
    (tmp_path / "tiny.yaml").write_text(PIPELINE.format(photos=photos))
    return "tiny.yaml"


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


# Data ------------------------------------------------------------------------------------------


@pytest.fixture
def shards(ganforge, photos):
    output = ganforge(
        "data", "prepare", photos, "shards", "resolution=16",
        "--workers", 0,
    ).stdout  # fmt: skip
    assert "Wrote 12 samples to shards." in output
    return "shards"


def test_data_prepare_says_what_it_wrote(ganforge, photos):
    arguments = ("data", "prepare", photos, "out")
    told = json.loads(ganforge(*arguments, "resolution=16", "--workers", 0, "--json").stdout)

    assert (told["path"], told["num_samples"]) == ("out", {"main": 12})
    assert len(told["digest"]) == 64


def test_data_prepare_keeps_what_is_there_unless_told(ganforge, shards, photos):
    again = ("data", "prepare", photos, shards, "resolution=16", "--workers", 0)

    assert "already exists" in ganforge(*again, code=2).stderr
    ganforge(*again, "--overwrite")


@pytest.mark.parametrize(
    ("setting", "expected"),
    [
        ("resolutoin=64", "unknown key 'resolutoin'. Did you mean 'resolution'?"),
        ("source=foldr", "Unknown source 'foldr'. Did you mean 'folder'"),
        ("resolution", "is not of the form section.key=value"),
    ],
)
def test_data_prepare_names_a_wrong_setting(ganforge, photos, setting, expected):
    assert expected in ganforge("data", "prepare", photos, "out", setting, code=2).stderr


def test_data_prepare_refuses_a_negative_number_of_workers(ganforge, photos):
    output = ganforge("data", "prepare", photos, "out", "--workers", -1, code=2).stderr

    assert "--workers" in output and "-1 is not in the range x>=0" in output


def test_data_embed_writes_new_shards(ganforge, tmp_path):
    Image.new("RGB", (16, 16)).save(tmp_path / "a.png")
    (tmp_path / "list.csv").write_text("image,caption\na.png,a red apple\n")
    ganforge("data", "prepare", "list.csv", "plain", "--workers", 0)
    command = ("data", "embed", "plain", "out", "--encoder", "hashed_words", "size=8")

    told = ganforge(*command)
    again = ganforge(*command, code=2)
    as_json = json.loads(ganforge(*command, "--overwrite", "--json").stdout)

    assert "Embedded the captions with hashed_words (8 numbers each): out." in told.stdout
    assert "out already exists" in again.stderr
    index = load_index("out")
    assert as_json["digest"] == index.digest
    assert as_json["size"] == index.image_spec.text_dim == 8
    assert as_json["revision"] == index.image_spec.text_encoding.revision


@pytest.mark.parametrize(
    ("arguments", "expected"),
    [
        (["--encoder", "hashed-word"], "Unknown text encoder 'hashed-word'"),
        (["--encoder", "hashed_words", "siz=1"], "unknown key 'siz'. Did you mean 'size'"),
        (["--encoder", "hashed_words", "size"], "SETTINGS: 'size' is not KEY=VALUE"),
        (["--encoder", "hashed_words"], "no field 'caption' to embed"),
    ],
)
def test_data_embed_refuses_what_cannot_work(ganforge, shards, arguments, expected):
    assert expected in ganforge("data", "embed", shards, "out", *arguments, code=2).stderr


def test_data_inspect_reports_raw_images_shards_and_pipeline_alike(
    ganforge, photos, shards, pipeline
):
    for location in (photos, shards, pipeline):
        told = json.loads(ganforge("data", "inspect", location, "--json").stdout)
        assert told["class_counts"] == {"cat": 6, "dog": 6}

    text = ganforge("data", "inspect", shards, "--contact-sheet", "sheet.png").stdout
    assert "size      16 x 16 x 3, 8 bits: 12 images" in text
    assert "class     cat: 6" in text and "picture   sheet.png" in text


def test_data_inspect_lists_bad_files(ganforge, tmp_path):
    (tmp_path / "raw").mkdir()
    (tmp_path / "raw" / "broken.png").write_bytes(b"\x89PNG no more")

    output = ganforge("data", "inspect", "raw").stdout

    assert "BAD" in output and "broken" in output and "WARNING" in output


def test_data_verify_finds_damage(ganforge, shards, tmp_path):
    assert "1 of 1 shards are sound: 12 samples." in ganforge("data", "verify", shards).stdout
    shard = next((tmp_path / shards).glob("*.tar"))
    damaged = bytearray(shard.read_bytes())
    damaged[700] ^= 1
    shard.write_bytes(damaged)

    output = ganforge("data", "verify", shards, code=1).stdout
    told = json.loads(ganforge("data", "verify", shards, "--json", code=1).stdout)

    assert "Damaged: " in output and shard.name in output
    assert told["is_sound"] is False
    ganforge("data", "verify", shards, "--no-hashes")


def test_data_verify_without_an_index_says_so(ganforge):
    assert (
        "No index.json can be read at nowhere"
        in ganforge("data", "verify", "nowhere", code=2).stderr
    )


# Plugins and schema ----------------------------------------------------------------------------


def test_plugins_list_is_a_table(ganforge):
    rows = [line.split() for line in ganforge("plugins", "list").stdout.splitlines()]

    assert ["architecture", "dcgan", "ganforge"] in [row[:3] for row in rows]


def test_plugins_list_json_has_kind_name_and_origin(ganforge):
    told = json.loads(ganforge("plugins", "list", "--json").stdout)

    found = next(row for row in told if row["name"] == "r1")
    assert (found["kind"], found["distribution"].split()[0]) == ("regularizer", "ganforge")
    assert found["summary"]


def test_plugins_new_refuses_names_and_folders(ganforge, tmp_path):
    taken, odd = (
        ganforge("plugins", "new", "dcgan", code=2),
        ganforge("plugins", "new", "A B", code=2),
    )

    assert "The name 'dcgan' is taken by an installed plugin or component" in taken.stderr
    assert "'A B' cannot name a plugin: use lower-case letters" in odd.stderr
    (tmp_path / "ganforge-mine" / "x").mkdir(parents=True)
    assert (
        "is not empty. Remove it, or give another --out"
        in ganforge("plugins", "new", "mine", code=2).stderr
    )


@pytest.mark.parametrize("name", ["none", "class", "field", "generator"])
def test_plugins_new_refuses_names_that_python_or_the_template_use(ganforge, tmp_path, name):
    found = ganforge("plugins", "new", name, code=2)

    assert f"Choose another name, e.g. {name}-gan." in found.stderr
    assert not list(tmp_path.iterdir())


def test_plugins_new_into_a_file_is_one_message(ganforge, tmp_path):
    (tmp_path / "file").touch()

    assert (
        "a part of the path is a file"
        in ganforge("plugins", "new", "mine", "--out", "file", code=2).stderr
    )


def test_plugins_check_prints_outcomes_and_fails(ganforge, monkeypatch):
    outcomes = [
        report.Outcome("builds", "x", "passed"),
        report.Outcome("output", "x", "failed", "not in range"),
    ]
    monkeypatch.setattr(report, "check_plugin", lambda name: iter(outcomes))

    assert ganforge("plugins", "check", "x", code=1).stdout.splitlines() == [
        "passed  x: builds",
        "failed  x: output: not in range",
    ]
    assert json.loads(ganforge("plugins", "check", "x", "--json", code=1).stdout) == [
        outcome.to_dict() for outcome in outcomes
    ]


def test_plugins_check_passes_a_sound_component(ganforge):
    assert "passed  loss hinge: is described" in ganforge("plugins", "check", "hinge").stdout


def test_plugins_check_unknown_name_lists_near_ones(ganforge):
    assert "Did you mean 'dcgan'" in ganforge("plugins", "check", "dcgn", code=2).stderr


def test_schema_is_printed_or_written(ganforge, tmp_path):
    printed = json.loads(ganforge("schema").stdout)
    ganforge("schema", "--out", "schema.json")

    assert json.loads((tmp_path / "schema.json").read_text()) == printed
    assert "Architecture.dcgan" in printed["$defs"]


def test_schema_that_cannot_be_written_is_one_message(ganforge, tmp_path):
    (tmp_path / "file").touch()
    said = ganforge("schema", "--out", str(tmp_path / "file" / "schema.json"), code=2).stderr
    assert "file" in said and "Remove it or choose another path" in said
