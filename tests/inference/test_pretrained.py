import subprocess
import sys
from dataclasses import replace

import numpy as np
import pytest
import torch
from PIL import Image
from torch.testing import assert_close

from ganforge.errors import ConfigError
from ganforge.imaging.images import to_uint8
from ganforge.inference.pretrained import PretrainedGan
from ganforge.interfaces.generation import GenerateRequest


@pytest.fixture
def model(exported):
    return PretrainedGan.from_pretrained(exported, device="cpu")


@pytest.fixture
def plain(exported_plain):
    return PretrainedGan.from_pretrained(exported_plain, device="cpu")


def test_generate_equals_the_exported_networks(model, architecture, networks):
    request = GenerateRequest(seeds=[3, 4], label=torch.eye(3)[[2, 0]], truncation=0.5)
    with torch.no_grad():
        expected = architecture.generate(networks, request)
    img = model.generate(seeds=[3, 4], labels=["shirt", 0], truncation=0.5, output_type="pt")
    assert_close(img, expected)


def test_generate_seed_gives_its_image_in_any_batch(model):
    together = model.generate(seeds=range(7), output_type="pt", batch_size=16)
    in_pairs = model.generate(seeds=range(7), output_type="pt", batch_size=2)
    alone = torch.cat([model.generate(seeds=[s], output_type="pt") for s in range(7)])
    assert_close(in_pairs, together)
    assert_close(alone, together)
    assert together.std(0).min() > 0.01, "seeds differ"


def test_generate_labels_follow_their_image_through_batches(model):
    labels = [0, "boot", 2, "bag", "1"]
    together = model.generate(labels=labels, output_type="pt")
    in_pairs = model.generate(labels=labels, output_type="pt", batch_size=2)
    assert_close(in_pairs, together)
    assert_close(together[4:], model.generate(seeds=4, labels=1, output_type="pt"))


def test_generate_one_label_serves_all_images(model):
    one = model.generate(3, labels="boot", output_type="pt")
    assert_close(one, model.generate(3, labels=[1, 1, 1], output_type="pt"))
    assert_close(one, model.generate(3, labels=torch.tensor([1, 1, 1]), output_type="pt"))


def test_generate_without_seeds_counts_from_zero(model):
    assert_close(
        model.generate(2, output_type="pt"), model.generate(seeds=[0, 1], output_type="pt")
    )
    assert len(model.generate()) == 1


def test_generate_output_types_hold_the_same_pixels(model):
    img = model.generate(2, output_type="pt")
    assert (img.dtype, img.shape) == (torch.float32, (2, 3, 8, 8))
    assert img.abs().max() <= 1
    pixels = to_uint8(img).permute(0, 2, 3, 1).numpy()
    np.testing.assert_array_equal(model.generate(2, output_type="np"), pixels)
    images = model.generate(2)
    assert [(type(i), i.mode) for i in images] == [(Image.Image, "RGB")] * 2
    np.testing.assert_array_equal(np.stack([np.asarray(i) for i in images]), pixels)


def test_generate_option_reaches_the_architecture(model):
    dark = model.generate(1, output_type="pt")
    assert_close(model.generate(1, brightness=5.0, output_type="pt"), torch.ones_like(dark))


def test_generate_attributes_reach_the_architecture(model, monkeypatch):
    info = model.info
    values = {"image_spec": replace(info.image_spec, attribute_names=("smile",))}
    model.info = info.model_copy(update={**values, "conditioning": ("attributes",)})
    seen = []
    monkeypatch.setattr(
        type(model.architecture),
        "generate",
        lambda self, nets, request: (
            seen.append(request.attributes) or torch.zeros(request.size, 3, 8, 8)
        ),
    )
    model.generate(3, attributes=[0.5], batch_size=2)
    assert [rows.tolist() for rows in seen] == [[[0.5], [0.5]], [[0.5]]]
    with pytest.raises(ConfigError, match=r"attributes has shape \[2, 1\].*wants \[3, 1\]"):
        model.generate(3, attributes=[[0.5], [0.1]])


def test_generate_leaves_global_state_alone(model):
    torch.manual_seed(5)
    before = torch.get_rng_state(), torch.backends.cudnn.allow_tf32
    model.generate(2)
    assert_close(torch.get_rng_state(), before[0])
    assert torch.backends.cudnn.allow_tf32 == before[1]


@pytest.mark.parametrize(
    ("request_", "message"),
    [
        ({"labels": "boots"}, "no class 'boots'. Did you mean 'boot'. *Valid: bag, boot, shirt"),
        ({"labels": [0, 1], "num_images": 3}, "2 labels for 3 images. Give one per image"),
        ({"truncation": "a"}, "truncation=a is not valid for 'tiny'. Give a finite number"),
        ({"num_images": 0}, "num_images=0; use at least 1"),
        ({"num_images": 3, "seeds": [1]}, "num_images=3, but 1 seeds.*only one of the two"),
        ({"batch_size": 0}, "batch_size=0; use at least 1"),
        ({"output_type": "jpg"}, "output_type='jpg' is unknown. Use 'pil', 'pt', 'np'"),
        ({"brightnes": 1}, "'tiny' has no generation option 'brightnes'. Did you mean 'brightness"),
        ({"text": [1.0]}, "text was given, but this model is not conditioned on it. Leave it out"),
    ],
)
def test_generate_impossible_request_is_refused_before_any_work(
    model, monkeypatch, request_, message
):
    monkeypatch.setattr(type(model.architecture), "generate", lambda *_: pytest.fail("it ran"))
    with pytest.raises(ConfigError, match=message):
        model.generate(**request_)


def test_generate_labels_for_unconditional_model_are_refused(plain):
    with pytest.raises(ConfigError, match="labels was given, but this model is not conditioned"):
        plain.generate(labels=1)
    assert plain.class_names == ()


def test_generate_truncation_where_there_is_none_is_refused(plain):
    with pytest.raises(ConfigError, match="truncation=0.7.*'tiny_plain' has no truncation. Leave"):
        plain.generate(truncation=0.7)


@pytest.mark.parametrize("truncation", [float("nan"), float("inf"), -3.0])
def test_generate_truncation_that_is_no_factor_is_refused(model, truncation):
    with pytest.raises(ConfigError, match=rf"truncation={truncation} .*'tiny'.*finite number, 0"):
        model.generate(truncation=truncation)


def test_generate_more_images_than_memory_holds_is_refused(model):
    with pytest.raises(ConfigError, match="num_images: 99999999999 images are too many.*at most"):
        model.generate(99999999999)


def test_generate_on_translation_model_points_to_translate(exported_translator):
    translator = PretrainedGan.from_pretrained(exported_translator, device="cpu")
    with pytest.raises(ConfigError, match=r"images \(forward, back\).*use translate\(images\)"):
        translator.generate()


def test_pretrained_networks_are_frozen_and_in_eval_mode(model):
    assert list(model.networks) == ["generator"]
    network = model.networks["generator"]
    assert not any(module.training for module in network.modules())
    assert not any(p.requires_grad for p in network.parameters())


def test_pretrained_repr_and_facts_tell_what_it_makes(model):
    assert repr(model) == "PretrainedGan(tiny, 3 x 8 x 8, 3 classes, 64000 images shown, cpu)"
    assert model.class_names == ("bag", "boot", "shirt")
    assert model.info.metrics[0]["name"] == "frechet_distance"
    assert model.to("cpu") is model


def test_from_pretrained_leaves_the_random_state_alone(exported):
    torch.manual_seed(5)
    before = torch.get_rng_state()
    PretrainedGan.from_pretrained(exported)
    assert_close(torch.get_rng_state(), before)


def test_import_ganforge_is_light_and_offers_from_pretrained():
    code = (
        "import sys, ganforge; assert 'torch' not in sys.modules; "
        "ganforge.from_pretrained; assert 'accelerate' not in sys.modules"
    )
    subprocess.run([sys.executable, "-c", code], check=True)


def test_ganforge_unknown_name_is_an_attribute_error():
    import ganforge

    with pytest.raises(AttributeError, match="no attribute 'from_pretraned'"):
        ganforge.from_pretraned  # noqa: B018
