import io
import json
import tarfile

import pytest
import torch
import yaml
from ganforge_text.architecture import GanIntCls
from ganforge_text.networks import GanIntClsConfig
from PIL import Image
from small import build
from torch import nn
from torch.nn import functional
from torch.testing import assert_close

import ganforge
from ganforge.api import (
    Batch,
    ConfigError,
    GenerateRequest,
    ImageSpec,
    Networks,
    Objective,
    ShapeError,
)
from ganforge.errors import DataError
from ganforge.objectives.losses import NonSaturating, Relativistic
from ganforge.objectives.regularizers import R1
from ganforge.pipeline.run import run_pipeline

SPEC = ImageSpec(16, 16, 3, text_dim=5)
LOSS = NonSaturating(NonSaturating.Config())
OBJECTIVE = Objective(LOSS)


def tiny(spec=SPEC, **options):
    return build(GanIntCls, spec, **options)


def built(architecture):
    torch.manual_seed(0)
    return Networks(architecture.networks())


def made_up(size=4, spec=SPEC):
    torch.manual_seed(1)
    img = torch.rand(size, spec.channels, spec.height, spec.width) * 2 - 1
    return Batch({"image": img, "text": torch.randn(size, spec.text_dim)})


def count(network):
    return sum(p.numel() for p in network.parameters())


def test_gan_int_cls_paper_networks_have_the_parameters_of_their_arithmetic():
    spec = ImageSpec(64, 64, 3, text_dim=1024)
    with torch.device("meta"):
        networks = GanIntCls(GanIntClsConfig(), spec).networks()

    project = 1024 * 128 + 128
    grids = [(100 + 128, 1024), (1024, 512), (512, 256), (256, 128)]
    up = sum(16 * before * after + 2 * after for before, after in grids) + 16 * 128 * 3 + 3
    down = 16 * 3 * 64 + 64 + sum(16 * c * 2 * c + 4 * c for c in (64, 128, 256))
    judge = (512 + 128) * 512 + 2 * 512 + 16 * 512 + 1
    assert count(networks["generator"]) == project + up == 14886787
    assert count(networks["discriminator"]) == project + 2 * 128 + down + judge == 3225793


@pytest.mark.parametrize(
    ("height", "width", "channels"), [(16, 16, 1), (16, 32, 3), (24, 16, 4), (40, 20, 3)]
)
def test_gan_int_cls_reaches_rectangles_and_any_channels(height, width, channels):
    spec = ImageSpec(height, width, channels, text_dim=5)
    architecture = tiny(spec)
    architecture.check(OBJECTIVE)
    nets = built(architecture)
    text = torch.randn(2, 5)

    img = nets["generator"](torch.randn(2, 8), text)

    assert img.shape == (2, channels, height, width)
    assert nets["discriminator"](img, text).shape == (2,)


def test_discriminator_judges_several_captions_of_an_image_at_once():
    nets = built(tiny(discriminator_norm="none"))
    batch = made_up()
    other = torch.randn(4, 5)
    discriminator = nets["discriminator"]

    both = discriminator(batch.image, torch.cat([batch["text"], other]))

    assert_close(both[:4], discriminator(batch.image, batch["text"]))
    assert_close(both[4:], discriminator(batch.image, other))


def test_discriminator_terms_weigh_wrong_captions_and_fakes_by_half():
    architecture = tiny(discriminator_norm="none")
    nets, batch = built(architecture), made_up()
    discriminator, text = nets["discriminator"], batch["text"]
    gen_img, _ = architecture.generated(OBJECTIVE, nets["generator"], batch)

    terms = architecture.discriminator_terms(OBJECTIVE, nets, batch)

    # Algorithm 1: log s_r + (log(1 - s_w) + log(1 - s_f)) / 2.
    right = functional.softplus(-discriminator(batch.image, text)).mean()
    wrong = functional.softplus(discriminator(batch.image, text[[3, 0, 1, 2]])).mean()
    fake = functional.softplus(discriminator(gen_img, text)).mean()
    assert_close(sum(terms.values()), right + (wrong + fake) / 2)
    assert "accuracy/mismatched" in batch.reports


def test_generator_terms_draw_points_between_two_captions():
    told = []
    architecture = tiny(interpolation=0.25, interpolation_weight=3.0)
    nets, batch = built(architecture), made_up()
    nets["generator"].register_forward_pre_hook(lambda _, given: told.append(given[1]))
    nets["discriminator"].register_forward_pre_hook(lambda _, given: told.append(given[1]))

    terms = architecture.generator_terms(OBJECTIVE, nets, batch)

    text = batch["text"]
    between = 0.25 * text + 0.75 * text[[3, 0, 1, 2]]
    assert_close(told, [text, text, between, between])
    assert set(terms) == {"adversarial", "interpolated"}
    torch.manual_seed(2)
    one = architecture.generator_terms(OBJECTIVE, nets, batch)["interpolated"]
    torch.manual_seed(2)
    unit = tiny(interpolation=0.25).generator_terms(OBJECTIVE, nets, batch)["interpolated"]
    assert_close(one, 3 * unit)


def test_variants_of_the_paper_leave_their_term_out():
    batch = made_up()
    without = tiny(interpolation_weight=0.0, matching=False)
    nets = built(without)

    assert set(without.generator_terms(OBJECTIVE, nets, batch)) == {"adversarial"}
    assert set(without.discriminator_terms(OBJECTIVE, nets, batch)) == {"adversarial"}


def test_gan_int_cls_plays_a_loss_that_compares_with_real_images():
    objective = Objective(Relativistic(Relativistic.Config()), (R1(R1.Config(gamma=1.0)),))
    architecture = tiny(discriminator_norm="none")
    nets, batch = built(architecture), made_up()

    for phase in architecture.phases(objective):
        assert all(torch.isfinite(term) for term in phase.loss(nets, batch).values())


def test_slot_of_one_image_is_refused_with_the_batch_size():
    architecture = tiny()

    with pytest.raises(ConfigError, match="slot has 1 image. Use at least two images per slot"):
        architecture.discriminator_terms(OBJECTIVE, built(architecture), made_up(1))


def test_data_without_embeddings_are_refused_with_the_command():
    with pytest.raises(ConfigError, match="no embeddings .* `ganforge data embed SHARDS OUT"):
        tiny(ImageSpec(16, 16)).check(OBJECTIVE)


def test_size_that_no_grid_reaches_is_refused_with_the_nearest():
    with pytest.raises(ConfigError, match="'gan_int_cls' doubles a grid .* 17x17 is not"):
        tiny(ImageSpec(17, 17, text_dim=5)).check(OBJECTIVE)


def test_generate_without_text_or_with_another_size_is_refused():
    architecture = tiny()
    nets = built(architecture)

    with pytest.raises(ConfigError, match="none was given. Say what to draw: --text"):
        architecture.generate(nets, GenerateRequest([0]))
    with pytest.raises(ShapeError, match=r"shape \[1, 4\]; this model wants \[1, 5\]"):
        architecture.generate(nets, GenerateRequest([0], text=torch.zeros(1, 4)))


def test_generated_image_follows_seed_and_caption():
    architecture = tiny()
    nets = built(architecture)
    for network in nets.modules().values():
        network.eval()
    text = torch.randn(2, 5)
    seeds, captions = [1, 1, 2], text[[0, 1, 0]]

    with torch.no_grad():
        img = architecture.generate(nets, GenerateRequest(seeds, text=captions))
        again = architecture.generate(nets, GenerateRequest([1], text=text[:1]))

    assert_close(img[:1], again)
    assert (img[0] - img[1]).abs().max() > 1e-4
    assert (img[0] - img[2]).abs().max() > 1e-4
    assert isinstance(nets["generator"], nn.Module)


COLORS = {"red": (255, 0, 0), "green": (0, 255, 0), "blue": (0, 0, 255)}


@pytest.fixture
def pipeline(tmp_path, monkeypatch):
    """A pipeline file on 48 tiny captioned images."""
    monkeypatch.chdir(tmp_path)
    with tarfile.open("raw.tar", "w") as tar:
        for number in range(48):
            name = list(COLORS)[number % 3]
            buffer = io.BytesIO()
            Image.new("RGB", (16, 16), COLORS[name]).save(buffer, "PNG")
            for suffix, data in (("png", buffer.getvalue()), ("txt", f"a {name} box".encode())):
                info = tarfile.TarInfo(f"{number:04d}.{suffix}")
                info.size = len(data)
                tar.addfile(info, io.BytesIO(data))
    (tmp_path / "words.txt").write_text("a 1 1 0 1\nred 1 0 0 2\ngreen 0 1 0 2\nbox 0 0 1 1\n")
    content = {
        "name": "tiny",
        "stages": ["prepare", "train", "publish"],
        "data": {
            "source": {"name": "webdataset", "urls": "raw.tar"},
            "text_encoder": {"name": "word_vectors", "path": "words.txt"},
            "workers": 0,
        },
        "model": {"architecture": "gan_int_cls", **GanIntCls.example_options},
        "train": {
            "total_kimg": 0.032, "batch_size": 8, "slots": 2, "compile": False, "trackers": [],
            "sample_grid": [1, 2], "sample_every_kimg": 0.016, "log_every_kimg": 0.016,
            "checkpoint_every_kimg": 0.016,
        },
    }  # fmt: skip
    (tmp_path / "tiny.yaml").write_text(yaml.safe_dump(content))
    return "tiny.yaml"


def test_pipeline_embeds_trains_and_exports_a_model_that_reads_text(pipeline, tmp_path):
    folder = run_pipeline(pipeline).run_dir / "export"

    card = (folder / "README.md").read_text()
    assert 'model.generate(seeds=[0, 1, 2, 3], text="what to draw")' in card
    assert ' --text "what to draw"\n```\n' in card
    assert "by the encoder `word_vectors` that the training captions" in card
    made = json.loads((folder / "config.json").read_text())["image_spec"]
    assert made["text_dim"] == 4
    assert made["text_encoding"]["name"] == "word_vectors"
    model = ganforge.from_pretrained(folder, device="cpu")
    one = model.generate(text="a red box", output_type="pt")
    two = model.generate(text=["a red box", "a green box"], seeds=[0, 0], output_type="pt")
    assert_close(one[0], two[0])
    assert (two[0] - two[1]).abs().max() > 0
    assert len(model.generate(text=["red", "green", "box"])) == 3
    with pytest.raises(DataError, match="'blue' cannot be embedded: none of its words"):
        model.generate(text="blue")
    with pytest.raises(ConfigError, match="2 texts for 3 images"):
        model.generate(3, text=["red", "green"])
    with pytest.raises(ConfigError, match=r"text has shape \[1, 3\]; this model wants \[1, 4\]"):
        model.generate(text=torch.zeros(1, 3))
    with pytest.raises(ConfigError, match="none was given"):
        model.generate()
    (tmp_path / "words.txt").rename("moved.txt")
    with pytest.raises(ConfigError, match="--text-encoder path=PATH"):
        model.generate(text="red")
    moved = model.generate(text="a red box", text_encoder={"path": "moved.txt"}, output_type="pt")
    assert_close(moved, one)


def test_pipeline_without_embeddings_is_refused_with_the_command(pipeline):
    with pytest.raises(DataError, match="no embeddings of them .*`ganforge data embed SHARDS OUT"):
        run_pipeline(pipeline, ["data.text_encoder=null"])


def test_pipeline_with_a_missing_words_file_is_refused_before_preparing(pipeline, tmp_path):
    with pytest.raises(DataError, match="word vectors none.txt cannot be read"):
        run_pipeline(pipeline, ["data.text_encoder.path=none.txt"])
    assert not (tmp_path / "runs" / "tiny" / "shards").exists()


def test_pipeline_on_shards_of_another_encoder_is_refused_with_the_command(pipeline):
    run_pipeline(pipeline, ["stages=[prepare]", "run_dir=first"])
    ready = ["data.source=null", "data.shards=first/shards", "stages=[prepare]"]

    run_pipeline(pipeline, ready)
    with pytest.raises(DataError, match=r"embedded by word_vectors .*data embed first/shards OUT"):
        run_pipeline(pipeline, [*ready, "data.text_encoder.unknown_words=hash"])


def test_training_alone_on_shards_of_another_encoder_is_refused_too(pipeline):
    run_pipeline(pipeline, ["stages=[prepare]", "run_dir=first"])
    other = ["data.shards=first/shards", "stages=[train]", "data.text_encoder.unknown_words=hash"]

    with pytest.raises(DataError, match=r"embedded by word_vectors .*data embed first/shards OUT"):
        run_pipeline(pipeline, other)


def test_pipeline_with_an_unknown_encoder_names_the_known(pipeline):
    with pytest.raises(ganforge.errors.GanforgeError, match="Unknown text encoder 'word-vectos'"):
        run_pipeline(pipeline, ["data.text_encoder.name=word-vectos"])
