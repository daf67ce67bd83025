import json
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
import torch
from ganforge_stylegan.stylegan2 import Stylegan2
from PIL import Image
from torch.testing import assert_close

from ganforge import from_pretrained
from ganforge.cli import _generate
from ganforge.config.models import DataConfig
from ganforge.data.loader import RealImages
from ganforge.interfaces.spec import ImageSpec
from ganforge.metrics.requests import Requests


def pixels(path):
    return np.asarray(Image.open(path))


def test_generate_writes_one_png_per_seed(ganforge, dcgan, tmp_path):
    files = json.loads(ganforge("generate", dcgan, "--seeds", "3,5-6", "--json").stdout)

    assert [file["seed"] for file in files] == [3, 5, 6]
    assert [file["path"] for file in files] == [f"samples/seed00000{n}.png" for n in (3, 5, 6)]
    assert pixels(tmp_path / files[0]["path"]).shape == (16, 16, 3)


def test_generate_seed_gives_the_same_image_in_any_batch(ganforge, dcgan):
    ganforge("generate", dcgan, "-n", 5, "--out", "many")
    ganforge("generate", dcgan, "--seed", 3, "--out", "one", "--batch-size", 1)

    assert np.array_equal(pixels("many/seed000003.png"), pixels("one/seed000003.png"))


def test_generate_uses_labels_in_turn_whatever_the_batch(ganforge, stylegan):
    arguments = ("generate", stylegan, "-n", 5, "--label", "cat", "--label", "dog", "--json")
    whole = json.loads(ganforge(*arguments, "--out", "a").stdout)
    cut = json.loads(ganforge(*arguments, "--out", "b", "--batch-size", 3).stdout)

    assert [f["label"] for f in whole] == ["cat", "dog", "cat", "dog", "cat"]
    assert [f["label"] for f in cut] == [f["label"] for f in whole]
    for one, other in zip(whole, cut, strict=True):
        assert np.array_equal(pixels(one["path"]), pixels(other["path"]))


def test_generate_draws_texts_in_turn_and_one_image_each(ganforge, painter):
    arguments = ("generate", painter, "--text", "a red apple", "--text", "pear", "--json")
    files = json.loads(ganforge(*arguments).stdout)
    more = json.loads(ganforge(*arguments, "--seeds", "0,0,0", "--out", "more").stdout)

    assert [file["seed"] for file in files] == [0, 1]
    assert len(more) == 3


def test_generate_follows_the_text(ganforge, painter):
    for text, out in (("a red apple", "a"), ("Apple, a red", "b"), ("pear", "c")):
        ganforge("generate", painter, "--text", text, "--out", out)

    same, other = (pixels(f"{out}/seed000000.png") for out in "bc")
    assert np.array_equal(pixels("a/seed000000.png"), same)
    assert not np.array_equal(same, other)


@pytest.mark.parametrize(
    ("arguments", "expected"),
    [
        ([], "'gan_int_cls' draws captions, and none was given. Say what to draw: --text"),
        (["--text", "!!"], "The text '!!' cannot be embedded: it has no words"),
        (["--text", "a", "--text-encoder", "size"], "--text-encoder 'size' is not KEY=VALUE"),
        (["--text", "a", "--text-encoder", "size=7"], "its vectors differ"),
        (["--text", "a", "--text-encoder", "siz=7"], "unknown key 'siz'. Did you mean 'size'"),
    ],
)
def test_generate_refuses_what_cannot_be_drawn(ganforge, painter, arguments, expected):
    assert expected in ganforge("generate", painter, *arguments, code=2).stderr


def test_generate_text_of_a_model_without_captions_is_refused(ganforge, dcgan):
    error = ganforge("generate", dcgan, "--text", "a red apple", code=2).stderr
    assert "text was given, but this model is not conditioned on it. Leave it out" in error


def test_generate_passes_truncation_and_options(ganforge, stylegan):
    ganforge("generate", stylegan, "--truncation", 0, "-o", "noise=none", "--out", "a", "-n", 2)

    # Truncation 0 gives the mean latent; without noise all images are one.
    assert np.array_equal(pixels("a/seed000000.png"), pixels("a/seed000001.png"))


@pytest.mark.parametrize(
    ("arguments", "expected"),
    [
        (["--truncation", "0.5"], "the architecture 'dcgan' has no truncation. Leave it out"),
        (["-o", "noise=none"], "has no generation option 'noise'"),
        (["-o", "noise"], "--option 'noise' is not KEY=VALUE"),
        (["-o", "a=["], "--option 'a=[': the value is not YAML"),
        (["--seeds", "1-x"], "'1-x' is no seed and no range. Write e.g. 3,10-19."),
        (["--seeds", "9-3"], "'9-3' is no seed and no range"),
        (["--seeds", "1,2", "-n", "3"], "num_images=3, but 2 seeds were given"),
        (["--label", "cat"], "label"),
        (["--seeds", "0-99999999999"], "--seeds: 100000000000 images are too many"),
        (["-n", "99999999999"], "num_images: 99999999999 images are too many"),
        (["-o", "seeds=3"], "-o seeds: the command has this option; use --seeds."),
        (["-o", "labels=3"], "use --label."),
        (["-o", "batch_size=3"], "use --batch-size."),
        (["-o", "text=cat"], "use --text."),
        (["-o", "output_type=pt"], "no generation option 'output_type'"),
        (["-o", "model=x"], "use model."),
        (["-o", "self=x"], "no generation option 'self'"),
        (["--batch-size", "0"], "Invalid value for '--batch-size'"),
        (["--seed", "-5"], "The seed -5 is out of range"),
        (["--device", "gpu"], "device='gpu': there is no such device"),
    ],
)
def test_generate_refuses_what_the_model_does_not_have(ganforge, dcgan, arguments, expected):
    assert expected in ganforge("generate", dcgan, *arguments, code=2).stderr


def test_generate_repeated_seed_is_one_file(ganforge, dcgan, tmp_path):
    printed = ganforge("generate", dcgan, "--seeds", "1,1,2")

    assert "Wrote 2 images" in printed.stdout
    assert len(list((tmp_path / "samples").iterdir())) == 2


def test_generate_repeated_seed_of_other_labels_is_a_file_each(ganforge, stylegan, tmp_path):
    labels = ("--label", "cat", "--label", "dog")
    files = json.loads(ganforge("generate", stylegan, "--seeds", "1,1", *labels, "--json").stdout)

    assert [file["label"] for file in files] == ["cat", "dog"]
    assert [Path(file["path"]).name for file in files] == ["seed000001.png", "seed000001-1.png"]
    assert not np.array_equal(*(pixels(tmp_path / file["path"]) for file in files))


@pytest.mark.parametrize("out", ["afile", "afile/within"])
def test_out_that_is_a_file_is_refused_before_anything_is_made(
    ganforge, dcgan, cyclegan, photos, tmp_path, monkeypatch, out
):
    (tmp_path / "afile").write_text("kept")
    monkeypatch.setattr("ganforge.inference.pretrained.run_request", None)
    for command in (
        ("generate", dcgan),
        ("translate", cyclegan, photos),
        ("pull", dcgan),
    ):
        assert "afile is a file. Choose" in ganforge(*command, "--out", out, code=2).stderr
    assert (tmp_path / "afile").read_text() == "kept"


def test_generate_without_a_model_says_so(ganforge):
    assert "empty name" in ganforge("generate", "", code=2).stderr
    assert "empty name" in ganforge("pull", "", code=2).stderr
    assert "no folder ./nowhere" in ganforge("generate", "./nowhere", code=2).stderr


def test_generate_without_label_draws_a_class_from_each_seed(ganforge, stylegan, requests_of):
    requests = requests_of(Stylegan2)

    ganforge("generate", stylegan, "-n", 8)

    label = requests[0].label
    assert label.shape == (8, 2)
    assert set(label.argmax(1).tolist()) == {0, 1}


# Evaluate --------------------------------------------------------------------------------------


@pytest.fixture
def shards(ganforge, photos):
    ganforge(
        "data", "prepare", photos, "shards", "resolution=16", "--workers", 0, "--json",
    )  # fmt: skip
    return "shards"


@pytest.mark.parametrize("bad", [("--num-images", 0), ("--seed", -5), ("--batch-size", 0)])
def test_evaluate_refuses_bad_numbers(ganforge, dcgan, bad):
    found = ganforge("evaluate", dcgan, "--reference", "none", *bad, code=2)
    assert f"Invalid value for '{bad[0]}'" in found.stderr


def requests(model, config, reference, data, direction=""):
    return Requests(model, direction, config, reference, data, torch.device("cpu"))


def test_evaluate_hands_over_what_was_asked(ganforge, dcgan, shards, monkeypatch):
    received = {}

    class Record:
        def model_dump(self, mode):
            record = {"name": "fid", "value": 1.5, "n_gen": 8, "n_real": 12}
            return record | {"extractor": "e", "direction": "a_to_b"}

    def evaluate(model, config, reference, runtime, *, data):
        request = requests(model, config, reference, data)([0, 1])
        received.update(img=model.generate(request), config=config, reference=reference)
        received.update(nimg=model.nimg)
        return [Record()]

    monkeypatch.setattr(_generate, "evaluate", evaluate)
    metrics = ("-m", "fid", "-m", "kid:subset_size=100,degree=3,extractor=e")
    arguments = ("evaluate", dcgan, "--reference", shards, *metrics)
    arguments = (*arguments, "--num-images", 8, "--extractor-option", "weights=w.pth")

    assert ganforge(*arguments).stdout == "fid 1.5  (8 generated, 12 real, e, a_to_b)\n"
    assert json.loads(ganforge(*arguments, "--json").stdout)[0]["value"] == 1.5
    assert received["img"].shape == (2, 3, 16, 16)
    assert [(metric.name, metric.options) for metric in received["config"].metrics] == [
        ("fid", {}),
        ("kid", {"subset_size": 100, "degree": 3}),
    ]
    assert (received["config"].num_images, received["reference"], received["nimg"]) == (
        8,
        "shards",
        8000,
    )
    assert received["config"].extractor.options == {"weights": "w.pth"}
    assert [
        metric.extractor and metric.extractor.name for metric in received["config"].metrics
    ] == [
        None,
        "e",
    ]


def embedded(ganforge, size):
    """Shards of two captioned images, embedded by hashed words of this size."""
    for name, value in (("one", 0), ("two", 255)):
        Image.new("RGB", (16, 16), (value, 0, 0)).save(f"{name}.png")
    rows = ["image,caption", "one.png,a red apple", "two.png,pear"]
    Path("list.csv").write_text("\n".join(rows))
    settings = ("text_encoder.name=hashed_words", f"text_encoder.size={size}")
    ganforge("data", "prepare", "list.csv", f"shards{size}", *settings, "--workers", 0)
    return f"shards{size}"


def test_evaluate_of_text_draws_the_references_captions(ganforge, painter, monkeypatch):
    reference, made = embedded(ganforge, 6), {}

    def evaluate(model, config, reference, runtime, *, data):
        ask = requests(model, config, reference, data)
        made.update(one=model.generate(ask([0])), again=model.generate(ask([0, 1]))[:1])
        return []

    monkeypatch.setattr(_generate, "evaluate", evaluate)
    ganforge("evaluate", painter, "--reference", reference)

    vectors = RealImages(DataConfig(), reference).samples([0], ["text"])["text"]
    model = from_pretrained(painter, device="cpu")
    wanted = model.generate(seeds=[0], text=vectors, output_type="pt")
    assert_close(made["one"], wanted)
    assert_close(made["again"], wanted)


def test_evaluate_on_captions_of_another_encoder_is_refused(ganforge, painter):
    command = ("evaluate", painter, "--reference", embedded(ganforge, 8))

    assert "were embedded by hashed_words (size: 8" in ganforge(*command, code=2).stderr


def test_evaluate_of_a_translator_translates_the_reference(ganforge, cyclegan, photos, monkeypatch):
    ganforge(
        "data", "prepare", "unpaired", "domains", f"source.source={photos / 'cat'}",
        f"source.target={photos / 'dog'}", "resolution=16", "--workers", 0,
    )  # fmt: skip
    made = {}

    def evaluate(model, config, reference, runtime, *, data):
        for direction in model.directions:
            ask = requests(model, config, reference, data, direction)
            made[direction] = model.generate(ask(range(8)))
        return []

    monkeypatch.setattr(_generate, "evaluate", evaluate)

    ganforge("evaluate", cyclegan, "--reference", "domains")

    # Six source images, dealt to the indices in turn.
    forth, back = made["source_to_target"], made["target_to_source"]
    assert forth.shape == (8, 3, 16, 16)
    assert np.allclose(forth[0], forth[6], atol=1e-5)
    assert not np.allclose(forth[0], forth[1], atol=1e-2)
    assert not np.allclose(forth[0], back[0], atol=1e-2)


def test_evaluate_crop_shows_the_middle_of_larger_images(ganforge, cyclegan, photos, monkeypatch):
    ganforge(
        "data", "prepare", "unpaired", "larger", f"source.source={photos / 'cat'}",
        f"source.target={photos / 'dog'}", "resolution=[20, 24]", "resize=stretch", "--workers", 0,
    )  # fmt: skip
    seen = []

    def evaluate(model, config, reference, runtime, *, data):
        seen.append(RealImages(data, reference, field="target"))
        return []

    monkeypatch.setattr(_generate, "evaluate", evaluate)

    ganforge("evaluate", cyclegan, "--reference", "larger", "--crop")

    whole = RealImages(DataConfig(), "larger", field="target")
    assert np.array_equal(seen[0].batch(range(2)), whole.batch(range(2))[..., 2:18, 4:20])


@pytest.mark.parametrize(
    ("size", "crop", "match"),
    [
        ((8, 8), ["--crop"], "Prepare the reference in the size of the model"),
        ((20, 16), [], "Pass --crop to measure the middle"),
    ],
)
def test_evaluate_of_a_reference_of_another_size_is_refused(
    ganforge, dcgan, shards, monkeypatch, size, crop, match
):
    other = SimpleNamespace(image_spec=ImageSpec(*size))
    monkeypatch.setattr(_generate, "load_index", lambda reference: other)
    refused = ganforge("evaluate", dcgan, "--reference", shards, *crop, code=2)
    assert match in refused.stderr


def test_evaluate_metric_options_are_key_value_pairs(ganforge, dcgan, shards):
    command = ("evaluate", dcgan, "--reference", shards, "-m", "kid:100")
    assert "--metric kid '100' is not KEY=VALUE." in ganforge(*command, code=2).stderr


def test_evaluate_unknown_metric_lists_near_ones(ganforge, dcgan, shards):
    message = ganforge("evaluate", dcgan, "--reference", shards, "-m", "fidd", code=2).stderr

    assert "Unknown metric 'fidd'. Did you mean 'fid'" in message
