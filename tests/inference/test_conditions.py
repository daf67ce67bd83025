import numpy as np
import pytest
import torch
from torch.testing import assert_close

from ganforge.encoders.hashed_words import HashedWords, HashedWordsConfig
from ganforge.errors import ConfigError, DataError
from ganforge.inference.conditions import encode_conditions, num_items, take_conditions
from ganforge.interfaces.conditions import CONDITIONS
from ganforge.interfaces.spec import ImageSpec

CLASSES = ("bag", "boot", "shirt")
ATTRIBUTES = ("Female", "Black_Hair", "Wearing-Glasses")
ENCODER = HashedWords(HashedWordsConfig(size=4))
SPEC = ImageSpec(
    4, 4, class_names=CLASSES, attribute_names=ATTRIBUTES, text_dim=4,
    text_encoding=ENCODER.encoding,
)  # fmt: skip


def encode(count, known=CONDITIONS, spec=SPEC, text_encoder=None, **given):
    return encode_conditions(take_conditions(given), spec, known, count, text_encoder)


def classes(labels, count, names=CLASSES):
    spec = ImageSpec(4, 4, class_names=names)
    return encode(count, spec=spec, labels=labels)["label"].argmax(1).tolist()


def test_take_conditions_leaves_other_arguments():
    arguments = {"labels": "bag", "text": None, "brightness": 2}
    assert take_conditions(arguments) == {"label": ["bag"]}
    assert arguments == {"brightness": 2}


@pytest.mark.parametrize(
    ("given", "expected"),
    [
        ({}, 1),
        ({"labels": 3}, 1),
        ({"labels": "bag"}, 1),
        ({"labels": ["bag", 1]}, 2),
        ({"labels": torch.tensor([0, 1, 2])}, 3),
        ({"text": "a pear"}, 1),
        ({"text": ("a pear", "an apple")}, 2),
        ({"text": [0.1, 0.2, 0.3, 0.4]}, 1),
        ({"text": torch.zeros(3, 4)}, 3),
        ({"attributes": np.zeros((2, 3))}, 2),
        ({"labels": [0, 1], "text": torch.zeros(3, 4)}, 3),
    ],
)
def test_num_items_is_the_number_of_images_that_conditions_imply(given, expected):
    assert num_items(take_conditions(given)) == expected


@pytest.mark.parametrize("value", [["red", 1], object(), [[1.0], [1.0, 2.0]]])
def test_take_conditions_refuses_what_is_neither_text_nor_numbers(value):
    with pytest.raises(ConfigError, match=r"text is neither text nor vectors \(.*one for each"):
        take_conditions({"text": value})


# Classes ---------------------------------------------------------------------------------------


def test_labels_become_one_hot_rows():
    label = encode(2, labels=["shirt", 0])["label"]
    assert_close(label, torch.tensor([[0.0, 0.0, 1.0], [1.0, 0.0, 0.0]]))


@pytest.mark.parametrize("labels", ["boot", 1, "1", ["boot"], np.int64(1), torch.tensor([1] * 3)])
def test_labels_a_single_one_serves_all_images(labels):
    assert classes(labels, 3) == [1, 1, 1]


def test_labels_name_wins_over_the_index_it_spells():
    assert classes(["3", 0, "1"], 3, names=("5", "3", "0")) == [1, 0, 1]


def test_labels_differ_from_a_name_in_case_and_composition():
    assert classes(["T shirt", "cafe\u0301"], 2, names=("t-shirt", "caf\u00e9")) == [0, 1]


def test_labels_that_fit_two_names_are_refused():
    assert classes(["cat", "Cat"], 2, names=("Cat", "cat")) == [1, 0]
    with pytest.raises(ConfigError, match="no class 'CAT'"):
        classes("CAT", 1, names=("Cat", "cat"))


@pytest.mark.parametrize(
    ("labels", "expected"),
    [
        ("boots", "no class 'boots'. Did you mean 'boot'.*Valid: bag, boot, shirt. Or give an ind"),
        ("7", "no class '7'. Valid: bag, boot, shirt. Or give an index, 0 to 2"),
        ("9" * 5000, "no class '999"),
        (-1, "no class -1"),
        ([0.5], "class 0.5 is neither an index nor a name"),
        ([0, 1], "2 labels for 3 images. Give one per image, or one for all"),
        ([], "0 labels for 3 images"),
    ],
)
def test_labels_that_are_no_classes_are_refused(labels, expected):
    with pytest.raises(ConfigError, match=expected):
        classes(labels, 3)


def test_labels_of_many_classes_list_only_near_names():
    with pytest.raises(ConfigError) as caught:
        classes("class00l", 1, names=tuple(f"class{i:03d}" for i in range(500)))
    assert "Did you mean 'class" in str(caught.value)
    assert len(str(caught.value)) < 200


@pytest.mark.parametrize("name", ["labels", "attributes", "text"])
def test_condition_that_the_model_does_not_have_is_refused(name):
    with pytest.raises(ConfigError, match=f"{name} was given, but this model is not conditioned"):
        encode(1, known=(), **{name: "bag"})


# Attributes ------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("female, black hair", [1.0, 1.0, 0.0]),
        ("wearing glasses=0.5", [0.0, 0.0, 0.5]),
        ("BLACK-HAIR", [0.0, 1.0, 0.0]),
        ("2, 0", [1.0, 0.0, 1.0]),
        ("", [0.0, 0.0, 0.0]),
    ],
)
def test_attributes_are_names_values_and_indices(text, expected):
    assert encode(2, attributes=text)["attributes"].tolist() == [expected] * 2
    assert encode(2, attributes=[text, ""])["attributes"].tolist() == [expected, [0.0] * 3]


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        ("femal", "no attribute 'femal'. Did you mean"),
        ("7", "no attribute '7'"),
        ("female, Female", "gives 'Female' twice"),
        ("female=x", "'female=x' is not NAME=NUMBER"),
        ("female=nan", "'female=nan' is not NAME=NUMBER"),
        (["female"] * 3, "3 texts of attributes for 2 images"),
        ([[0.5], [0.1]], r"attributes has shape \[2, 1\].*wants \[2, 3\]"),
    ],
)
def test_attributes_that_the_model_does_not_have_are_refused(value, expected):
    with pytest.raises(ConfigError, match=expected):
        encode(2, attributes=value)


@pytest.mark.parametrize("value", [[0.5, 0.0, 1.0], torch.tensor([[0.5, 0.0, 1.0]])])
def test_attributes_a_single_vector_serves_all_images(value):
    assert encode(2, attributes=value)["attributes"].tolist() == [[0.5, 0.0, 1.0]] * 2


# Texts -----------------------------------------------------------------------------------------


def test_text_is_embedded_by_the_encoder_of_the_model():
    texts = ["a pear", "an apple", "a pear"]
    assert_close(encode(3, text=texts)["text"], ENCODER.encode(texts))
    assert_close(encode(3, text="a pear")["text"], ENCODER.encode(["a pear"]).expand(3, -1))


def test_text_vectors_are_taken_as_they_are():
    rows = torch.arange(8.0).view(2, 4)
    assert_close(encode(2, text=rows)["text"], rows)


@pytest.mark.parametrize(
    ("error", "text", "expected"),
    [
        (ConfigError, ["a", "b"], "2 texts for 3 images"),
        (ConfigError, torch.zeros(1, 3), r"text has shape \[1, 3\]; this model wants \[3, 4\]"),
        (ConfigError, torch.tensor(0.0), r"text has shape \[\]; this model wants \[3, 4\]"),
        (DataError, "!!", "'!!' cannot be embedded"),
    ],
)
def test_text_that_does_not_fit_is_refused(error, text, expected):
    with pytest.raises(error, match=expected):
        encode(3, text=text)


def test_text_encoder_options_that_change_the_vectors_are_refused():
    with pytest.raises(ConfigError, match="its vectors differ"):
        encode(1, text="a", text_encoder={"size": 7})
