"""The conditions that a data set may have for its images, and that a model may be trained on."""

from ganforge.interfaces.spec import ImageSpec

CONDITIONS = ("label", "attributes", "text")


def sizes(spec: ImageSpec) -> dict[str, int]:
    """The c_dim of each condition that a spec has: classes, attributes, embedding size."""
    found = {
        "label": spec.num_classes,
        "attributes": len(spec.attribute_names),
        "text": spec.text_dim,
    }
    return {name: size for name, size in found.items() if size}
