"""What images can be conditioned on: the one list of names, and the size of each."""

from ganforge.interfaces.spec import ImageSpec

CONDITIONS = ("label", "attributes", "text")
"""Batch and request fields that condition an image, in the order in which they are joined."""


def sizes(spec: ImageSpec) -> dict[str, int]:
    """The conditions that images of this spec have, and the length of each one's vector."""
    found = {
        "label": spec.num_classes,
        "attributes": len(spec.attribute_names),
        "text": spec.text_dim,
    }
    return {name: found[name] for name in CONDITIONS if found[name]}
