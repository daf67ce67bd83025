"""Keypoints on their way from a file to what networks see."""

import pytest
import torch
from dancer import dance, write_coco
from preparing import config, noise, run, save
from torch.testing import assert_close

from ganforge.config.models import DataConfig
from ganforge.data.loader import RealImages
from ganforge.data.shards.index import load_index
from ganforge.errors import DataError
from ganforge.imaging.skeletons import draw_poses
from ganforge.interfaces.spec import FieldSpec
from ganforge.training.engine.make_batch import prepare_field


@pytest.fixture
def dancing(tmp_path):
    """Five frames of 48 x 80 and their keypoints."""
    for number in range(5):
        save(tmp_path / "frames" / "a" / f"{number}.png", noise(48, 80, 3))
    write_coco(tmp_path / "a.json", dance(5, 40, 24))
    return {"source": str(tmp_path / "a.json"), "target": str(tmp_path / "frames")}


def test_keypoints_become_drawn_sources_and_a_vector_that_follow_resizing(dancing, tmp_path):
    run(config(name="frames", source=dancing, resolution=24), tmp_path / "out")
    spec = load_index(str(tmp_path / "out")).image_spec
    assert (spec.source_kind, spec.source_channels, spec.num_frames) == ("pose", 3, 5)
    assert spec.pose_size == 51
    assert spec.fields == {"pose": FieldSpec("vector", 51, is_clip=True)}
    images = RealImages(DataConfig(), str(tmp_path / "out"), field="source")
    found = images.samples([0], ["source", "pose"])
    half = torch.tensor(dance(5, 40, 24), dtype=torch.float32)
    half[..., :2] *= 0.5
    half[..., 0] -= 8  # the crop of 40 columns to 24
    assert_close(found["pose"], half.flatten(1)[None])
    drawn = prepare_field("source", found["source"], spec, torch.device("cpu"))
    assert torch.equal(drawn, draw_poses(found["pose"], 24, 24))


def test_keypoints_are_stored_with_what_a_mirror_swaps(dancing, tmp_path):
    run(config(name="frames", source=dancing), tmp_path / "out")
    schema = load_index(str(tmp_path / "out")).fields["pose"]
    assert (schema.coordinates, schema.swap[2]) == ("xyv", (5, 6))


def test_keypoints_and_frames_of_different_number_are_refused(dancing, tmp_path):
    write_coco(tmp_path / "a.json", dance(4))
    with pytest.raises(DataError, match=r"a \(4 and 5 frames\).*Make each pair equally long"):
        run(config(name="frames", source=dancing), tmp_path / "out")
