"""The models here draw their latents: pixels are numbers, so each method has a closed form."""

import numpy as np
import pytest
import torch
from torch import nn
from torch.testing import assert_close

from ganforge.config.models import StrictModel
from ganforge.errors import ConfigError
from ganforge.hub.format import ModelInfo, conditioning
from ganforge.imaging.images import from_uint8
from ganforge.inference.pretrained import PretrainedGan
from ganforge.inference.requests import parse_seeds, parse_terms, resolve_attributes
from ganforge.interfaces import blending
from ganforge.interfaces.architecture import Architecture
from ganforge.interfaces.generation import GenerateRequest
from ganforge.interfaces.spec import ImageSpec

LAYERS, SIZE, SCALE = 4, 8, 16.0
CLASSES = ("bag", "boot", "shirt")


class Shown(Architecture[StrictModel]):
    """Rows of the image are z / 16; the last columns are the label."""

    name, paper, optional_inputs = "shown", "none", ("label", "attributes")

    def networks(self):
        return {"generator": nn.Linear(1, 1)}

    def phases(self, objective):
        return []

    def generate(self, nets, request):
        return self.draw(request.noise(SIZE)[:, None].expand(-1, LAYERS, -1), request)

    def draw(self, ws, request):
        img = (ws / SCALE)[:, None].repeat(1, 3, 1, 1)
        for shown in (request.label, request.attributes):
            if shown is not None:
                img = torch.cat([img, shown[:, None, None].expand(-1, 3, LAYERS, -1)], 3)
        return img


class Styled(Shown):
    """With a mapped space: row l shows layer l of w = z^2, without truncation."""

    name, latent_spaces, supports_truncation = "styled", ("z", "w"), True

    def num_styles(self, nets):
        return LAYERS

    def generate(self, nets, request):
        return self.draw(request.blended("w", self.mapped), request)

    def mapped(self, request):
        psi = 1.0 if request.truncation is None else request.truncation
        return psi * request.noise(SIZE).square()[:, None].repeat(1, LAYERS, 1)


class Translator(Shown):
    name, translates = "translator", ("source_to_target",)


def pretrained(architecture, **fields):
    spec = ImageSpec(LAYERS, SIZE, 3, **fields)
    info = ModelInfo(
        ganforge_version="1",
        architecture=architecture.name,
        options={},
        plugin={"distribution": "tiny", "version": "1"},
        image_spec=spec.to_dict(),
        conditioning=conditioning(architecture, spec),
        roles=("generator",),
        nimg=0,
        weights_sha256="0" * 64,
    )
    return PretrainedGan(architecture, architecture.networks(spec), info, "cpu")


@pytest.fixture
def model():
    return pretrained(Shown(StrictModel()))


@pytest.fixture
def classes():
    return pretrained(Shown(StrictModel()), class_names=CLASSES)


@pytest.fixture
def styled():
    return pretrained(Styled(StrictModel()))


def latents(*seeds):
    return GenerateRequest(seeds).noise(SIZE)


def numbers(image, layer=0):
    """The latent that an image shows in a row."""
    pixels = torch.from_numpy(np.asarray(image).astype(np.float32))[layer, :SIZE, 0]
    return from_uint8(pixels) * SCALE


def shown_label(image):
    pixels = torch.from_numpy(np.asarray(image).astype(np.float32))[0, SIZE:, 0]
    return from_uint8(pixels)


def assert_shows(image, latent, layer=0):
    assert_close(numbers(image, layer), latent, atol=SCALE / 250, rtol=0)


def same(one, other):
    return np.array_equal(np.asarray(one), np.asarray(other))


# Interpolation ---------------------------------------------------------------------------------


def test_interpolate_key_frames_are_the_images_of_the_seeds(classes):
    film = classes.interpolate([3, 1, 4], steps=4)
    assert len(film.images) == 9
    for image, key in zip(film.images[::4], classes.generate(seeds=[3, 1, 4]), strict=True):
        assert same(image, key)


@pytest.mark.parametrize("path", ["linear", "spherical"])
def test_interpolate_follows_the_path(model, path):
    film = model.interpolate([3, 1], steps=4, path=path)
    start, end = latents(3), latents(1)
    for index, image in enumerate(film.images):
        t = torch.tensor([index / 4])
        wanted = blending.spherical(start, end, t) if path == "spherical" else None
        assert_shows(image, (torch.lerp(start, end, t) if wanted is None else wanted)[0])


def test_interpolate_is_spherical_in_z_and_linear_in_w_by_default(model, styled):
    z = latents(3, 1)
    middle = blending.spherical(z[:1], z[1:], torch.tensor([0.5]))[0]
    assert_shows(model.interpolate([3, 1], steps=2).images[1], middle)
    assert_shows(styled.interpolate([3, 1], steps=2).images[1], z.square().mean(0))
    in_z = styled.interpolate([3, 1], steps=2, space="z").images[1]
    assert_shows(in_z, middle.square())
    assert styled.interpolate([3, 1], steps=2, truncation=0.5).images[1] is not None


def test_interpolate_loop_closes_without_a_repeated_frame(model):
    film = model.interpolate([3, 1, 4], steps=4, loop=True)
    assert len(film.images) == 12
    assert film.is_loop
    start, end = latents(4), latents(3)
    last = blending.spherical(start, end, torch.tensor([0.75]))[0]
    assert_shows(film.images[-1], last)
    whole = model.interpolate([3, 1, 4, 3], steps=4)
    assert all(same(a, b) for a, b in zip(film.images, whole.images[:-1], strict=True))
    assert same(whole.images[-1], film.images[0])


def test_interpolate_between_equal_seeds_stands_still(model, styled):
    for found in (model.interpolate([5, 5], steps=3), styled.interpolate([5, 5], steps=3)):
        assert len(found.images) == 4
        assert all(same(image, found.images[0]) for image in found.images)


def test_interpolate_does_not_depend_on_the_batch_size(classes):
    together = classes.interpolate([3, 1], steps=5).images
    for batch_size in (1, 4):
        alone = classes.interpolate([3, 1], steps=5, batch_size=batch_size).images
        assert all(same(a, b) for a, b in zip(alone, together, strict=True))


def test_interpolate_labels_mix_from_key_frame_to_key_frame(classes):
    film = classes.interpolate([3, 1], steps=4, labels=["bag", "shirt"])
    assert_close(shown_label(film.images[1]), torch.tensor([0.75, 0, 0.25]), atol=0.01, rtol=0)
    one = classes.interpolate([3, 1], steps=4, labels="boot")
    assert all(shown_label(image).argmax() == 1 for image in one.images)


def test_interpolate_one_seed_walks_through_several_labels(classes):
    film = classes.interpolate(7, steps=2, labels=["bag", "boot", "shirt"])
    assert len(film.images) == 5
    for image in film.images:
        assert_shows(image, latents(7)[0])
    assert [int(shown_label(image).argmax()) for image in film.images[::2]] == [0, 1, 2]


def test_interpolate_one_seed_walks_through_several_attributes():
    model = pretrained(Shown(StrictModel()), attribute_names=("Black_Hair", "Glasses"))
    film = model.interpolate([7], steps=2, attributes=["black hair", "glasses"])
    assert_close(shown_label(film.images[1]), torch.tensor([0.5, 0.5]), atol=0.01, rtol=0)


@pytest.mark.parametrize(
    ("arguments", "expected"),
    [
        ({"seeds": [5]}, r"one key frame was given \(seed 5\).*Give two or more seeds"),
        ({"seeds": []}, "seeds is empty"),
        ({"seeds": [1, 2], "steps": 0}, "steps=0; use at least 1"),
        ({"seeds": [1, 2], "space": "w"}, "'shown' has no latent space 'w'. It has z"),
        ({"seeds": [1, 2], "path": "round"}, "path='round' is unknown. Use 'linear'"),
        ({"seeds": [1, 2], "labels": [0]}, "without classes"),
        ({"seeds": [1, 2], "truncation": 0.5}, "no truncation"),
        ({"seeds": [1, 2], "batch_size": 0}, "batch_size=0"),
        ({"seeds": [1, 2], "curve": 1}, "no generation option 'curve'"),
    ],
)
def test_interpolate_refuses_what_the_model_cannot_do(model, arguments, expected):
    with pytest.raises(ConfigError, match=expected):
        model.interpolate(**arguments)


def test_sampling_a_translator_points_to_translate():
    model = pretrained(Translator(StrictModel()), source_channels=3)
    for call in (
        lambda: model.interpolate([1, 2]),
        lambda: model.mix_styles([1], [2]),
        lambda: model.arithmetic("1 - 2 + 3"),
        lambda: model.nearest("shards"),
    ):
        with pytest.raises(ConfigError, match=r"has no latents to sample; use translate\(images\)"):
            call()


# Style mixing ----------------------------------------------------------------------------------


def test_mix_styles_takes_coarse_layers_from_the_row_and_fine_ones_from_the_column(styled):
    sheet = styled.mix_styles([1, 2], [3, 4, 5], layers=(1, 2))
    assert (sheet.columns, len(sheet.cells)) == (4, 12)
    for row, coarse in enumerate((1, 2)):
        for column, fine in enumerate((3, 4, 5)):
            image = sheet.cells[(row + 1) * 4 + column + 1]
            for layer, seed in enumerate((coarse, fine, fine, coarse)):
                assert_shows(image, latents(seed)[0].square(), layer)


def test_mix_styles_shows_the_seeds_own_images_at_the_edges(styled):
    sheet = styled.mix_styles([1, 2], [3, 4])
    assert sheet.cells[0] is None
    assert all(
        same(sheet.cells[place], own)
        for place, own in zip((1, 2, 3, 6), styled.generate(seeds=[3, 4, 1, 2]), strict=True)
    )
    assert sheet.names.rows == ("", "seed 1", "seed 2")
    assert sheet.names.columns == ("fine: 2-3", "seed 3", "seed 4")


def test_mix_styles_of_a_seed_with_itself_is_its_image(styled):
    sheet = styled.mix_styles(6, 6)
    assert same(sheet.cells[3], styled.generate(seeds=6)[0])


@pytest.mark.parametrize("layers", [(2, 4), (3, 2), (-1, 2)])
def test_mix_styles_refuses_layers_that_are_not_there(styled, layers):
    with pytest.raises(ConfigError, match=f"layers={layers[0]} to {layers[1]}: .* 0 to 3"):
        styled.mix_styles(1, 2, layers=layers)


def test_mix_styles_without_styles_names_what_there_is(model):
    with pytest.raises(
        ConfigError, match="'shown' has no layers of styles.*spaces are z. Use inter"
    ):
        model.mix_styles(1, 2)


# Arithmetic ------------------------------------------------------------------------------------


def test_arithmetic_adds_the_means_of_its_terms(model):
    sheet = model.arithmetic("1,2 - 3 + 4,5")
    means = [latents(1, 2).mean(0), latents(3)[0], latents(4, 5).mean(0)]
    *shown, result = sheet.images[-4:]
    for image, mean in zip(shown, means, strict=True):
        assert_shows(image, mean)
    assert_shows(result, means[0] - means[1] + means[2])


def test_arithmetic_is_done_in_w_where_there_is_one(styled):
    w = latents(1, 2, 3).square()
    assert_shows(styled.arithmetic("1 - 2 + 3").images[-1], w[0] - w[1] + w[2])
    in_z = styled.arithmetic("1 - 2 + 3", space="z").images[-1]
    z = latents(1, 2, 3)
    assert_shows(in_z, (z[0] - z[1] + z[2]).square().clamp(max=SCALE))


def test_arithmetic_shows_the_seeds_of_each_term_above_its_mean(model):
    sheet = model.arithmetic([(1.0, [1, 2]), (-0.5, [3])])
    assert sheet.columns == 3
    own = model.generate(seeds=[1, 2, 3])
    assert [cell is None for cell in sheet.cells] == [False, False, True, False, True, True] + [
        False
    ] * 3
    assert same(sheet.cells[0], own[0]) and same(sheet.cells[3], own[1])
    assert sheet.names.columns == ("a", "- 0.5 b", "=")
    assert sheet.names.cells[:3] == ("seed 1", "seed 3", "")
    assert sheet.names.cells[-3:] == ("mean", "mean", "result")


def test_arithmetic_of_single_seeds_has_one_row(model):
    sheet = model.arithmetic("1 - 2 + 3")
    assert len(sheet.cells) == 4
    assert sheet.names.cells == ("seed 1", "seed 2", "seed 3", "result")


def test_arithmetic_with_a_class_keeps_it(classes):
    image = classes.arithmetic("1,2 - 3 + 4", labels="boot").images[-1]
    assert_close(shown_label(image), torch.tensor([0.0, 1.0, 0.0]), atol=0.01, rtol=0)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("1,2 - 3-5 + 7", [(1.0, [1, 2]), (-1.0, [3, 4, 5]), (1.0, [7])]),
        (" 4 ", [(1.0, [4])]),
        ("1, 2 - 3", [(1.0, [1, 2]), (-1.0, [3])]),
    ],
)
def test_parse_terms_reads_seeds_and_signs(text, expected):
    assert parse_terms(text) == expected


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("", "cannot be read. Write seeds with"),
        ("1 - ", "cannot be read"),
        ("1 -2", "cannot be read"),
        ("1 - x", "terms 'x': 'x' is no seed and no range"),
        ([], "There are no terms"),
        ([(1.0, [])], "seeds is empty"),
    ],
)
def test_parse_terms_refuses_what_it_cannot_read(text, expected):
    with pytest.raises(ConfigError, match=expected):
        parse_terms(text)


@pytest.mark.parametrize("text", ["²", "1-", "1-²", "9" * 5000])
def test_parse_seeds_refuses_what_is_no_number(text):
    with pytest.raises(ConfigError, match=r"no seed and no range. Write e.g. 3,10-19"):
        parse_seeds(text)


@pytest.mark.parametrize("text", ["0-99999999999", "0-5999999,0-5999999"])
def test_parse_seeds_refuses_more_than_memory_holds(text):
    with pytest.raises(ConfigError, match=r"--seeds asks for \d+ images.*at most 10000000"):
        parse_seeds(text)


@pytest.mark.parametrize(
    ("seeds", "steps"), [([1, 2], 2_000_000), (range(1000), 9_000), ([1, 2], 0)]
)
def test_interpolate_without_end_is_refused(model, seeds, steps):
    with pytest.raises(ConfigError, match=rf"steps={steps}.*(at most 10000|fewer steps)"):
        model.interpolate(seeds, steps=steps)


def test_parse_seeds_names_the_option():
    assert parse_seeds("3, 5-7") == [3, 5, 6, 7]
    with pytest.raises(ConfigError, match="--rows 'a': 'a' is no seed"):
        parse_seeds("a", "--rows")


# Classes ---------------------------------------------------------------------------------------


def test_class_grid_has_a_row_per_class_of_the_same_latents(classes):
    sheet = classes.class_grid(2)
    assert (sheet.columns, sheet.names.rows) == (2, CLASSES)
    for index, image in enumerate(sheet.images):
        assert_shows(image, latents(index % 2)[0])
        assert int(shown_label(image).argmax()) == index // 2


def test_class_grid_by_column_turns_it(classes):
    by_row = classes.class_grid(seeds=[5, 6], labels=["shirt", 0])
    by_column = classes.class_grid(seeds=[5, 6], labels=["shirt", 0], by="column")
    assert by_row.names.rows == by_column.names.columns == ("shirt", "bag")
    assert by_column.columns == 2
    turned = [by_row.images[i] for i in (0, 2, 1, 3)]
    assert all(same(a, b) for a, b in zip(by_column.images, turned, strict=True))


def test_class_grid_refuses_what_it_cannot_show(model, classes):
    with pytest.raises(ConfigError, match="trained without classes, so there is no grid"):
        model.class_grid()
    with pytest.raises(ConfigError, match="no class 'hat'"):
        classes.class_grid(labels=["hat"])
    with pytest.raises(ConfigError, match="by='diagonal' is unknown. Use 'row'"):
        classes.class_grid(by="diagonal")
    many = pretrained(Shown(StrictModel()), class_names=tuple(f"c{i}" for i in range(21)))
    with pytest.raises(ConfigError, match=r"has 21 classes.*e.g. labels=\['c0', 'c1'\]"):
        many.class_grid()


# Attributes by name ----------------------------------------------------------------------------

NAMES = ("Female", "Black_Hair", "Wearing-Glasses")


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("female, black hair", [1, 1, 0]),
        ("wearing glasses=0.5", [0, 0, 0.5]),
        ("BLACK-HAIR", [0, 1, 0]),
        ("2, 0", [1, 0, 1]),
        ("", [0, 0, 0]),
    ],
)
def test_resolve_attributes_reads_names_values_and_indices(text, expected):
    assert resolve_attributes(text, NAMES, 5) == expected
    assert resolve_attributes([text] * 2, NAMES, 2) == [expected] * 2


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        ("femal", "no attribute 'femal'. Did you mean"),
        ("7", "no attribute '7'"),
        ("female, Female", "gives 'Female' twice"),
        ("female=x", "'female=x' is not NAME=NUMBER"),
        ("female=nan", "'female=nan' is not NAME=NUMBER"),
        (["female"], "1 texts of attributes for 2 images"),
    ],
)
def test_resolve_attributes_refuses_what_it_does_not_know(value, expected):
    with pytest.raises(ConfigError, match=expected):
        resolve_attributes(value, NAMES, 2)


def test_generate_takes_attributes_by_name():
    model = pretrained(Shown(StrictModel()), attribute_names=NAMES)
    image = model.generate(seeds=1, attributes="black hair")[0]
    assert_close(shown_label(image), torch.tensor([0.0, 1.0, 0.0]), atol=0.01, rtol=0)
    with pytest.raises(ConfigError, match="attributes was given, but this model is not condition"):
        pretrained(Shown(StrictModel())).generate(seeds=1, attributes="black hair")
