import numpy as np

from ganforge.api import ComponentOptions, Derivation, Field
from ganforge.interfaces.spec import DerivedSource


class DarkerOptions(ComponentOptions):
    factor: float = Field(0.5, description="Factor of all values.")
    range: tuple[float, float] = (0.0, 1.0)


class Darker(Derivation[DarkerOptions]):
    """Darker images."""

    name, Config = "darker", DarkerOptions

    def derive(self, img, seed, frame=0):
        return img * np.float32(self.config.factor) + np.float32(seed + frame)


IMG = np.ones((2, 2, 3), dtype=np.float32)


def test_derivation_of_an_input_is_that_of_training_by_default():
    darker = Darker(DarkerOptions())
    assert np.array_equal(darker.from_input(IMG, None, 1, 2), darker.derive(IMG, 1, 2))


def test_derivation_has_the_channels_of_the_image_by_default():
    assert Darker(DarkerOptions()).channels(5) == 5


def test_derived_source_records_all_options_json_ready():
    derived = Darker(DarkerOptions(factor=0.2)).derived
    assert derived == DerivedSource("darker", {"factor": 0.2, "range": [0.0, 1.0]})
