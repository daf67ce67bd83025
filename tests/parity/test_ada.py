"""ADA's transformations against the distribution of the authors' `AugmentPipe`."""

import json
from pathlib import Path

import pytest
import torch
from parity import augmentation

from ganforge.objectives.augment import color, geometry

NUMBERS = json.loads((Path(__file__).parent / "numbers" / "ada.json").read_text())
# Both sides have 100,000 samples: at least four standard deviations of the difference.
SHARE_TOLERANCE = 0.012
SIZE_TOLERANCE = 0.03


def draw(group, strength):
    size, side, p = augmentation.SAMPLES, augmentation.SIDE, torch.tensor(strength)
    if group == "color":
        return color.color_matrix(size, p)
    return getattr(geometry, group)(size, side, side, p)


@pytest.mark.parametrize("strength", augmentation.STRENGTHS)
@pytest.mark.parametrize("group", ["blit", "geometric", "color"])
def test_every_transformation_has_the_authors_distribution(group, strength):
    torch.manual_seed(0)
    found = getattr(augmentation, group)(draw(group, strength))
    theirs = NUMBERS[str(strength)][group]
    assert found.keys() == theirs.keys()
    for name, value in theirs.items():
        bound = {"abs": SHARE_TOLERANCE} if name.startswith("share") else {"rel": SIZE_TOLERANCE}
        assert found[name] == pytest.approx(value, **bound), name
