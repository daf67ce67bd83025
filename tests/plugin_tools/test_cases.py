import pytest
import torch
from plugin_tools.sound import Sound
from plugin_tools.translators import (
    OfAnyChannels,
    OfEqualChannels,
    Translator,
    UndescribedField,
    WithInstances,
)

from ganforge.api import ConfigError, FieldSpec
from ganforge.errors import PluginContractError
from ganforge.plugin_tools.cases import MICRO_BATCH, cases_of, make_fields, requests
from ganforge.plugin_tools.contract import CHECKS


def test_cases_cover_with_and_without_conditions(case_of):
    case_of(Sound)

    assert [case.label for case in cases_of("sound")] == ["sound", "sound+label"]
    assert [case.spec.num_classes for case in cases_of("sound")] == [0, 3]


def test_case_of_an_architecture_that_fits_nothing_shows_its_refusal(case_of):
    class Picky(Sound):
        name = "picky"

        def check(self, objective):
            raise ConfigError("Never.")

    with pytest.raises(
        PluginContractError, match=r"'picky' accepts no square.*Never\. Give it `example_options`"
    ):
        case_of(Picky)


@pytest.mark.parametrize(
    ("architecture", "others"),
    [
        (Translator, ["translator+source_labels_5"]),
        (OfAnyChannels, ["of_any_channels+source_image_1"]),
        (OfEqualChannels, []),
        (WithInstances, ["with_instances+instances+boxes+depth+source_labels_5"]),
    ],
    ids=lambda value: getattr(value, "name", None),
)
def test_translator_is_also_tried_with_another_source_that_it_accepts(
    case_of, architecture, others
):
    case_of(architecture)
    labels = [case.label for case in cases_of(architecture.name)]
    assert [label for label in labels if "source" in label] == others


@pytest.mark.parametrize("check", CHECKS.values(), ids=CHECKS.keys())
@pytest.mark.parametrize("architecture", [Translator, WithInstances], ids=lambda a: a.name)
def test_translator_of_label_maps_and_fields_of_its_own_passes(case_of, architecture, check):
    case_of(architecture)
    for case in cases_of(architecture.name):
        check(case)


def test_label_map_source_is_ids_in_training_and_one_hot_in_requests(case_of):
    case_of(Translator)
    case = cases_of("translator")[-1]
    source = make_fields(case, 0, 0)["source"]
    assert source.shape == (MICRO_BATCH, 1, 16, 16) and source.unique().tolist() == [0, 1, 2, 3, 4]
    ((request, channels),) = requests(case, (0, 1))
    assert channels == 3
    assert request.source.shape == (2, 5, 16, 16)
    assert torch.equal(request.source.sum(1), torch.ones(2, 16, 16))
    assert request.source.unique().tolist() == [0, 1]
    assert not torch.equal(*request.source)


def test_fields_of_an_architecture_are_made_up_as_it_describes_them(case_of):
    plain = case_of(WithInstances)
    assert plain.label == "with_instances+instances+boxes"
    assert plain.spec.fields == {
        "instances": FieldSpec("labels", 0),
        "boxes": FieldSpec("vector", 4),
    }
    fields = make_fields(cases_of("with_instances")[1], 0, 0)
    assert fields["instances"].shape == (MICRO_BATCH, 1, 16, 16)
    assert fields["instances"].max() > 1
    assert fields["boxes"].shape == (MICRO_BATCH, 4)
    assert fields["depth"].shape == (MICRO_BATCH, 1, 16, 16) and fields["depth"].max() > 200


def test_fields_per_frame_have_the_frames_of_the_clip(case_of):
    class OfClips(Translator):
        name, inputs = "of_clips", ("source", "frames", "boxes", "style")
        example_fields = {
            "boxes": FieldSpec("vector", 4, is_clip=True),
            "style": FieldSpec("image", 3),
        }

    case = case_of(OfClips)
    shapes = {name: list(value.shape[1:]) for name, value in make_fields(case, 0, 0).items()}
    frames = case.spec.num_frames
    assert shapes == {
        "source": [frames, 3, 16, 16],
        "frames": [frames, 3, 16, 16],
        "boxes": [frames, 4],
        "style": [3, 16, 16],
    }


def test_field_that_is_not_described_is_refused_with_what_to_do(case_of):
    with pytest.raises(
        PluginContractError,
        match=r"'undescribed_field': inputs names 'keypoints'\. Describe .*example_fields, e\.g\. "
        r"\{'keypoints': FieldSpec\('vector', 4\)\}",
    ):
        case_of(UndescribedField)
