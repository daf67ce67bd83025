import json

import pytest
import safetensors.torch
import torch
from torch.testing import assert_close

import ganforge
from ganforge.errors import PublishError
from ganforge.hub.format import file_sha256, read_info


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


def test_export_model_others_are_a_file_beside_the_weights(export, others):
    folder = export(others=others)
    assert_close(
        safetensors.torch.load_file(folder / "discriminator.safetensors"),
        {f"discriminator.{name}": tensor for name, tensor in others["discriminator"].items()},
    )
    described = json.loads((folder / "config.json").read_text())["discriminator"]
    sha256 = file_sha256(folder / "discriminator.safetensors")
    assert described == {"roles": ["discriminator"], "sha256": sha256}
    ganforge.from_pretrained(folder).generate(1)
    (folder / "discriminator.safetensors").unlink()
    ganforge.from_pretrained(folder).generate(1)  # does not need it


def test_export_model_without_others_says_so(export):
    assert json.loads((export(others={}) / "config.json").read_text())["discriminator"] is None
