"""The images of these models are their latents, so that each method has a closed form."""

import pytest
import torch
from inference.shown import (
    CLASSES,
    SCALE,
    Shown,
    Styled,
    Translator,
    assert_shows,
    latents,
    pretrained,
    same,
    shown_label,
)
from torch.testing import assert_close

from ganforge.errors import ConfigError
from ganforge.interfaces import blending


@pytest.fixture
def model():
    return pretrained(Shown)


@pytest.fixture
def classes():
    return pretrained(Shown, class_names=CLASSES)


@pytest.fixture
def styled():
    return pretrained(Styled)


def test_interpolate_keyframes_are_the_images_of_the_seeds(classes):
    animation = classes.interpolate([3, 1, 4], steps=4)
    assert len(animation.images) == 9
    for image, key in zip(animation.images[::4], classes.generate(seeds=[3, 1, 4]), strict=True):
        assert same(image, key)


@pytest.mark.parametrize("path", ["linear", "spherical"])
def test_interpolate_follows_the_path(model, path):
    animation = model.interpolate([3, 1], steps=4, path=path)
    start, end = latents(3), latents(1)
    for index, image in enumerate(animation.images):
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
    animation = model.interpolate([3, 1, 4], steps=4, loop=True)
    assert len(animation.images) == 12
    assert animation.is_loop
    start, end = latents(4), latents(3)
    last = blending.spherical(start, end, torch.tensor([0.75]))[0]
    assert_shows(animation.images[-1], last)
    whole = model.interpolate([3, 1, 4, 3], steps=4)
    assert all(same(a, b) for a, b in zip(animation.images, whole.images[:-1], strict=True))
    assert same(whole.images[-1], animation.images[0])


def test_interpolate_between_equal_seeds_stands_still(model, styled):
    for found in (model.interpolate([5, 5], steps=3), styled.interpolate([5, 5], steps=3)):
        assert len(found.images) == 4
        assert all(same(image, found.images[0]) for image in found.images)


def test_interpolate_does_not_depend_on_the_batch_size(classes):
    together = classes.interpolate([3, 1], steps=5).images
    for batch_size in (1, 4):
        alone = classes.interpolate([3, 1], steps=5, batch_size=batch_size).images
        assert all(same(a, b) for a, b in zip(alone, together, strict=True))


def test_interpolate_labels_mix_from_keyframe_to_keyframe(classes):
    animation = classes.interpolate([3, 1], steps=4, labels=["bag", "shirt"])
    assert_close(shown_label(animation.images[1]), torch.tensor([0.75, 0, 0.25]), atol=0.01, rtol=0)
    one = classes.interpolate([3, 1], steps=4, labels="boot")
    assert all(shown_label(image).argmax() == 1 for image in one.images)


def test_interpolate_one_seed_walks_through_several_labels(classes):
    animation = classes.interpolate(7, steps=2, labels=["bag", "boot", "shirt"])
    assert len(animation.images) == 5
    for image in animation.images:
        assert_shows(image, latents(7)[0])
    assert [int(shown_label(image).argmax()) for image in animation.images[::2]] == [0, 1, 2]


def test_interpolate_one_seed_walks_through_several_attributes():
    model = pretrained(Shown, attribute_names=("Black_Hair", "Glasses"))
    animation = model.interpolate([7], steps=2, attributes=["black hair", "glasses"])
    assert_close(shown_label(animation.images[1]), torch.tensor([0.5, 0.5]), atol=0.01, rtol=0)


@pytest.mark.parametrize(
    ("arguments", "expected"),
    [
        ({"seeds": [5]}, r"one keyframe was given \(seed 5\).*Give two or more seeds"),
        ({"seeds": []}, "seeds is empty"),
        ({"seeds": [1, 2], "steps": 0}, "steps=0; use at least 1"),
        ({"seeds": [1, 2], "space": "w"}, "'shown' has no latent space 'w'. It has z"),
        ({"seeds": [1, 2], "path": "round"}, "path='round' is unknown. Use 'linear'"),
        ({"seeds": [1, 2], "labels": [0]}, "labels was given, but this model is not"),
        ({"seeds": [1, 2], "truncation": 0.5}, "no truncation"),
        ({"seeds": [1, 2], "batch_size": 0}, "batch_size=0"),
        ({"seeds": [1, 2], "curve": 1}, "no generation option 'curve'"),
    ],
)
def test_interpolate_refuses_what_the_model_cannot_do(model, arguments, expected):
    with pytest.raises(ConfigError, match=expected):
        model.interpolate(**arguments)


def test_sampling_a_translator_points_to_translate():
    model = pretrained(Translator, source_channels=3)
    for call in (
        lambda: model.interpolate([1, 2]),
        lambda: model.mix_styles([1], [2]),
        lambda: model.arithmetic("1 - 2 + 3"),
        lambda: model.nearest("shards"),
    ):
        with pytest.raises(ConfigError, match=r"has no latents to sample; use translate\(images\)"):
            call()


@pytest.mark.parametrize(
    ("seeds", "steps"), [([1, 2], 2_000_000), (range(1000), 9_000), ([1, 2], 0)]
)
def test_interpolate_without_end_is_refused(model, seeds, steps):
    with pytest.raises(ConfigError, match=rf"steps={steps}.*(at most 10000|fewer steps)"):
        model.interpolate(seeds, steps=steps)


def test_mix_styles_takes_coarse_layers_from_the_row_and_fine_ones_from_the_column(styled):
    grid = styled.mix_styles([1, 2], [3, 4, 5], layers=(1, 2))
    assert (grid.columns, len(grid.cells)) == (4, 12)
    for row, coarse in enumerate((1, 2)):
        for column, fine in enumerate((3, 4, 5)):
            image = grid.cells[(row + 1) * 4 + column + 1]
            for layer, seed in enumerate((coarse, fine, fine, coarse)):
                assert_shows(image, latents(seed)[0].square(), layer)


def test_mix_styles_shows_the_seeds_own_images_at_the_edges(styled):
    grid = styled.mix_styles([1, 2], [3, 4])
    assert grid.cells[0] is None
    assert all(
        same(grid.cells[place], own)
        for place, own in zip((1, 2, 3, 6), styled.generate(seeds=[3, 4, 1, 2]), strict=True)
    )
    assert grid.names.rows == ("", "seed 1", "seed 2")
    assert grid.names.columns == ("fine: 2-3", "seed 3", "seed 4")


def test_mix_styles_of_a_seed_with_itself_is_its_image(styled):
    grid = styled.mix_styles(6, 6)
    assert same(grid.cells[3], styled.generate(seeds=6)[0])


@pytest.mark.parametrize("layers", [(2, 4), (3, 2), (-1, 2)])
def test_mix_styles_refuses_layers_that_are_not_there(styled, layers):
    with pytest.raises(ConfigError, match=f"layers={layers[0]} to {layers[1]}: .* 0 to 3"):
        styled.mix_styles(1, 2, layers=layers)


def test_mix_styles_without_styles_names_what_there_is(model):
    with pytest.raises(
        ConfigError, match="'shown' has no layers of styles.*spaces are z. Use inter"
    ):
        model.mix_styles(1, 2)


def test_arithmetic_adds_the_means_of_its_terms(model):
    grid = model.arithmetic("1,2 - 3 + 4,5")
    means = [latents(1, 2).mean(0), latents(3)[0], latents(4, 5).mean(0)]
    *shown, result = grid.images[-4:]
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
    grid = model.arithmetic([(1.0, [1, 2]), (-0.5, [3])])
    assert grid.columns == 3
    own = model.generate(seeds=[1, 2, 3])
    assert [cell is None for cell in grid.cells] == [False, False, True, False, True, True] + [
        False
    ] * 3
    assert same(grid.cells[0], own[0]) and same(grid.cells[3], own[1])
    assert grid.names.columns == ("a", "- 0.5 b", "=")
    assert grid.names.cells[:3] == ("seed 1", "seed 3", "")
    assert grid.names.cells[-3:] == ("mean", "mean", "result")


def test_arithmetic_of_single_seeds_has_one_row(model):
    grid = model.arithmetic("1 - 2 + 3")
    assert len(grid.cells) == 4
    assert grid.names.cells == ("seed 1", "seed 2", "seed 3", "result")


def test_arithmetic_with_a_class_keeps_it(classes):
    image = classes.arithmetic("1,2 - 3 + 4", labels="boot").images[-1]
    assert_close(shown_label(image), torch.tensor([0.0, 1.0, 0.0]), atol=0.01, rtol=0)


def test_class_grid_has_a_row_per_class_of_the_same_latents(classes):
    grid = classes.class_grid(2)
    assert (grid.columns, grid.names.rows) == (2, CLASSES)
    for index, image in enumerate(grid.images):
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
    many = pretrained(Shown, class_names=tuple(f"c{i}" for i in range(21)))
    with pytest.raises(ConfigError, match=r"has 21 classes.*e.g. labels=\['c0', 'c1'\]"):
        many.class_grid()
