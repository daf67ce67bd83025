from ganforge.interfaces.conditions import CONDITIONS, sizes
from ganforge.interfaces.spec import ImageSpec


def test_sizes_name_each_condition_that_a_spec_has():
    spec = ImageSpec(4, 4, class_names=("a", "b"), attribute_names=("x",), text_dim=7)
    assert sizes(spec) == {"label": 2, "attributes": 1, "text": 7}
    assert tuple(sizes(spec)) == CONDITIONS


def test_sizes_of_unconditional_images_are_none():
    assert sizes(ImageSpec(4, 4)) == {}
    assert sizes(ImageSpec(4, 4, text_dim=3)) == {"text": 3}
