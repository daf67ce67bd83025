from types import SimpleNamespace

import pytest
from metrics.tiny import write_clips, write_pairs

from ganforge.cli._generate import _reading, chosen_seeds
from ganforge.errors import ConfigError
from ganforge.interfaces.spec import ImageSpec


def arguments(**given):
    return {
        "num": None, "seed": 0, "seeds": None, "labels": (), "attributes": (), "texts": (), **given
    }  # fmt: skip


@pytest.mark.parametrize(
    ("given", "expected"),
    [
        ({}, [0]),
        ({"num": 3, "seed": 7}, [7, 8, 9]),
        ({"seed": 7, "texts": ("a", "b")}, [7, 8]),
        ({"labels": ("a", "b"), "num": 3}, [0, 1, 2]),
        ({"attributes": ("a",)}, [0]),
        ({"seeds": [4]}, [4]),
        ({"seeds": [1, 2], "num": 2}, [1, 2]),
        ({"seeds": [1, 1, 2]}, [1, 2]),
        ({"seeds": [1, 1], "labels": ("a", "b")}, [1, 1]),
        ({"seeds": [5], "labels": ("a", "b")}, [5, 5]),
        ({"seeds": [1, 2, 3], "labels": ("a", "b")}, [1, 2, 3]),
    ],
)
def test_chosen_seeds_follow_the_options(given, expected):
    assert chosen_seeds(arguments(**given)) == expected


def test_chosen_seeds_of_another_number_are_refused():
    with pytest.raises(ConfigError, match="num_images=4, but 2 seeds were given"):
        chosen_seeds(arguments(num=4, seeds=[1, 2]))


def test_evaluate_reads_as_many_frames_as_the_model_was_trained_on(tmp_path):
    clips, images = write_clips(tmp_path / "clips"), write_pairs(tmp_path / "pairs")
    video = SimpleNamespace(spec=ImageSpec(8, 8, 1, num_frames=2))
    assert _reading(video, clips, crop=False).clip.num_frames == 2
    assert _reading(SimpleNamespace(spec=ImageSpec(8, 8, 1)), images, crop=False).clip is None
