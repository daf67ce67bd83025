import json
import sys

import numpy as np
import pytest
from PIL import Image, ImageSequence

from ganforge.inference.pretrained import PretrainedGan


def pixels(path):
    return np.asarray(Image.open(path))


def test_interpolate_writes_each_file_asked_for(ganforge, stylegan, tmp_path):
    printed = ganforge(
        *("sample", "interpolate", stylegan, "--seeds", "1,2", "--steps", 4, "--scale", 2),
        *("--out", "new/walk.png", "--out", "walk.gif", "--out", "walk.mp4", "--json"),
    )

    assert json.loads(printed.stdout) == {"paths": ["new/walk.png", "walk.gif", "walk.mp4"]}
    assert pixels("new/walk.png").shape == (32, 5 * 32, 3)
    assert sum(1 for _ in ImageSequence.Iterator(Image.open("walk.gif"))) == 5
    assert (tmp_path / "walk.mp4").stat().st_size > 500


def test_interpolate_ends_on_what_generate_makes(ganforge, stylegan):
    ganforge("sample", "interpolate", stylegan, "--seeds", "3,7", "--steps", 2, "--space", "w")
    ganforge("generate", stylegan, "--seeds", "3,7")

    strip = pixels("interpolation.png")
    assert np.array_equal(strip[:, :16], pixels("samples/seed000003.png"))
    assert np.array_equal(strip[:, 32:], pixels("samples/seed000007.png"))


def test_interpolate_z_and_w_and_paths_differ(ganforge, stylegan):
    made = []
    for index, arguments in enumerate(
        [("--space", "w"), ("--space", "z"), ("--space", "z", "--path", "linear"), ()]
    ):
        out = f"{index}.png"
        ganforge(
            *("sample", "interpolate", stylegan, "--seeds", "3,7", "--steps", 4, "--out", out),
            *("--label", "cat", "-o", "noise=const", *arguments),
        )
        # A quarter of the way: half-way both paths in z have one direction, and only that counts.
        made.append(pixels(out)[:, 16:32])

    assert np.array_equal(made[0], made[3]), "w is the default"
    assert not np.array_equal(made[0], made[1])
    assert not np.array_equal(made[1], made[2])


def test_interpolate_labels_are_one_per_seed(ganforge, biggan):
    ganforge(
        *("sample", "interpolate", biggan, "--seeds", 5, "--steps", 2),
        *("--label", "cat", "--label", "bird", "--truncation", 0.5),
    )
    ganforge("generate", biggan, "--seeds", "5", "--label", "bird", "--truncation", 0.5)

    strip = pixels("interpolation.png")
    assert strip.shape == (16, 48, 4)
    assert np.array_equal(strip[:, 32:], pixels("samples/seed000005.png"))


def test_interpolate_truncated_biggan_moves_without_jumps(biggan):
    # Truncation replaces single numbers of z; applied between seeds it would make them jump.
    animation = PretrainedGan.from_pretrained(biggan, device="cpu").interpolate(
        [0, 1], steps=64, labels=0, truncation=0.3
    )
    frames = np.stack([np.asarray(image, dtype=float) for image in animation.images])
    steps = np.abs(np.diff(frames, axis=0)).max((1, 2, 3))
    assert steps.max() <= 4 * max(1.0, np.median(steps))


def test_generate_and_sample_take_attributes_by_name(ganforge, cgan):
    ganforge("generate", cgan, "-n", 2, "--attributes", "female, black hair", "--attributes", "")
    ganforge(
        *("sample", "interpolate", cgan, "--seeds", "0-1", "--steps", 1),
        *("--attributes", "Female=1,Black-Hair=1", "--attributes", "female=0", "--out", "a.png"),
    )
    ganforge("sample", "interpolate", cgan, "--seeds", "0-1", "--steps", 1, "--out", "a.mp4")

    both = np.concatenate([pixels(f"samples/seed00000{i}.png") for i in range(2)], 1)
    assert np.array_equal(pixels("a.png"), both)
    refused = ganforge("generate", cgan, "--attributes", "hat", code=2)
    assert "no attribute 'hat'. Valid: Black_Hair, Female." in refused.stderr


def test_mix_lays_out_rows_and_columns(ganforge, stylegan):
    ganforge(
        *("sample", "mix", stylegan, "--rows", "1-2", "--columns", "5,6,7", "--layers", "3-5"),
        *("--label", "dog", "--truncation", 0.7, "--out", "grid.png"),
    )

    height, width = pixels("grid.png").shape[:2]
    assert height > 3 * 16 and width > 4 * 16


def test_arithmetic_and_classes_write_a_picture(ganforge, biggan):
    ganforge("sample", "arithmetic", biggan, "1,2 - 3 + 4", "--label", "cat")
    ganforge("sample", "classes", biggan, "-n", 3, "--by", "column", "--label", "dog")

    assert pixels("arithmetic.png").shape[2] == 4
    assert pixels("classes.png").shape[0] > 3 * 16


def test_nearest_shows_training_images_and_writes_distances(ganforge, dcgan, photos, tmp_path):
    ganforge("data", "prepare", photos, "shards", "resolution=16", "channels=3", "--workers", 0)
    printed = ganforge(
        *("sample", "nearest", dcgan, "--reference", "shards", "--seeds", "4-6"),
        *("--pixels-only", "--json"),
    )

    assert json.loads(printed.stdout)["paths"] == ["nearest.png", "nearest.json"]
    record = json.loads((tmp_path / "nearest.json").read_text())
    assert [row["seed"] for row in record["samples"]] == [4, 5, 6]
    assert record["num_real"] == 12


@pytest.mark.parametrize(
    ("arguments", "expected"),
    [
        (["mix", "--rows", "1", "--columns", "2"], "'dcgan' has no layers of styles to mix"),
        (["interpolate", "--seeds", "1,2", "--space", "w"], "no latent space 'w'. It has z."),
        (["interpolate", "--seeds", "1"], "Only one keyframe was given (seed 1)"),
        (["interpolate", "--seeds", "1,x"], "--seeds '1,x': 'x' is no seed"),
        (["interpolate", "--seeds", "1,2", "--out", "a.avi"], "a.avi has no ending"),
        (["interpolate", "--seeds", "1,2", "--scale", "0"], "scale=0"),
        (["classes"], "trained without classes"),
        (["arithmetic", "1 -2"], "The terms '1 -2' cannot be read"),
        (["arithmetic", "1 - 2", "--out", "a.gif"], "Let the name end in .png"),
        (["mix", "--rows", "1", "--columns", "2", "--layers", "a"], "--layers 'a' is no range"),
        (["mix", "--rows", "1", "--columns", "2", "--layers", "1-"], "--layers '1-' is no range"),
        (["mix", "--rows", "1", "--columns", "2", "--layers", "²"], "--layers '²' is no range"),
        (["nearest", "--reference", "nowhere"], "nowhere"),
        (["interpolate", "--seeds", "1,2", "-o", "space=w"], "use --space."),
        (["interpolate", "--seeds", "1,2", "-o", "steps=w"], "use --steps."),
        (["interpolate", "--seeds", "1,2", "--scale", "100000"], "Use a smaller scale"),
        (["interpolate", "--seeds", "1,2", "--steps", "2000000"], "fewer images or steps"),
        (["interpolate", "--seeds", "1,2", "--steps", "20000", "--out", "a.gif"], "at most 10000"),
        (["arithmetic", "1 - 2", "--scale", "100000"], "Use a smaller scale"),
    ],
)
def test_sample_refuses_with_code_2_and_writes_nothing(
    ganforge, dcgan, tmp_path, arguments, expected
):
    command, *rest = arguments
    assert expected in ganforge("sample", command, dcgan, *rest, code=2).stderr
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("command", [("interpolate", "--seeds", "1,2"), ("arithmetic", "1 - 2")])
def test_sample_into_a_file_is_refused_before_anything_is_made(ganforge, dcgan, tmp_path, command):
    (tmp_path / "afile").write_text("kept")
    name, *rest = command
    printed = ganforge("sample", name, dcgan, *rest, "--out", "afile/i3.png", code=2)
    assert "Cannot write to the folder afile: afile is a file" in printed.stderr


def test_interpolate_without_pyav_says_so_before_the_model_is_loaded(
    ganforge, monkeypatch, tmp_path
):
    monkeypatch.setitem(sys.modules, "av", None)
    arguments = ("sample", "interpolate", "./nowhere", "--seeds", "1,2", "--out", "a.mp4")
    assert "pip install 'ganforge[video]'" in ganforge(*arguments, code=2).stderr
    assert not list(tmp_path.iterdir())


def test_sample_on_a_translator_points_to_translate(ganforge, cyclegan):
    refused = ganforge("sample", "interpolate", cyclegan, "--seeds", "1,2", code=2)
    assert "has no latents to sample; use translate(images)" in refused.stderr
