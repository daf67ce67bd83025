"""The contract of derivations: the built-in ones keep it, and each fault is found."""

import numpy as np
import pytest

from ganforge.api import ComponentOptions, ConfigError, Derivation, Field
from ganforge.errors import PluginContractError
from ganforge.plugin_tools.derivation_contract import check_derivation
from ganforge.registry.plugins import get_registry

REGISTRY = get_registry()


class Sound(Derivation[ComponentOptions]):
    """Keeps the contract."""

    name = "sound"

    def derive(self, img, seed, frame=0):
        return img


class Impure(Sound):
    def derive(self, img, seed, frame=0):
        return np.random.rand(*img.shape).astype(np.float32)


class Writing(Sound):
    def derive(self, img, seed, frame=0):
        img[...] = 0
        return img


class OtherChannels(Sound):
    def derive(self, img, seed, frame=0):
        return img[..., :1]


class Doubles(Sound):
    def derive(self, img, seed, frame=0):
        return img.astype(np.float64)


class Flat(Sound):
    def derive(self, img, seed, frame=0):
        return img[..., 0]


class Smaller(Sound):
    def derive(self, img, seed, frame=0):
        return img[::2, ::2]


class OutOfRange(Sound):
    def derive(self, img, seed, frame=0):
        return img * 2 - 1


class NotANumber(Sound):
    def derive(self, img, seed, frame=0):
        return img * np.float32("nan")


class ImpureInput(Sound):
    def from_input(self, img, alpha, seed, frame=0):
        return np.random.rand(*img.shape).astype(np.float32)


class InputWithAlpha(Sound):
    def from_input(self, img, alpha, seed, frame=0):
        return img if alpha is None else np.concatenate([img, alpha], axis=2)


@pytest.mark.parametrize("name", REGISTRY.names(Derivation))
def test_registered_derivation_keeps_the_contract(name):
    assert check_derivation(REGISTRY.find(Derivation, name)) is None


def test_derivation_that_enlarges_and_refuses_inputs_keeps_the_contract():
    class Enlarging(Sound):
        def from_input(self, img, alpha, seed, frame=0):
            if alpha is not None:
                raise ConfigError("Give an opaque image.")
            return img.repeat(2, 0).repeat(2, 1)

    assert check_derivation(Enlarging) is None


def test_derivation_with_required_options_is_skipped():
    class Options(ComponentOptions):
        path: str = Field(description="A file.")

    class Demanding(Sound):
        Config = Options

    assert check_derivation(Demanding) == "it has options without a default"


@pytest.mark.parametrize(
    ("broken", "message"),
    [
        (Impure, r"derive\(\) gives another source for the same image.*default_rng"),
        (Writing, r"derive\(\) writes to its image\. Copy"),
        (OtherChannels, r"float32 \[23, 37, 1\] of an image \[23, 37, 3\].*\[H, W, 3\]"),
        (Doubles, r"gives float64 .* Return float32 \[H, W, 1\]"),
        (Flat, r"gives float32 \[23, 37\] of"),
        (Smaller, r"changes the size \(23, 37\) to \(12, 19\)"),
        (OutOfRange, r"values from -0\.\d+ to .* Clip to \[0, 1\]"),
        (NotANumber, r"values from nan to nan"),
        (ImpureInput, r"from_input\(\) gives another source"),
        (InputWithAlpha, r"from_input\(\) gives float32 \[23, 37, 2\]"),
    ],
)
@pytest.mark.filterwarnings("ignore::RuntimeWarning")
def test_check_derivation_finds_the_fault(broken, message):
    with pytest.raises(PluginContractError, match=rf"'sound': .*{message}"):
        check_derivation(broken)


def test_check_derivation_passes_on_other_errors():
    class Failing(Sound):
        def derive(self, img, seed, frame=0):
            raise ValueError("bad luck")

    with pytest.raises(ValueError, match="bad luck"):
        check_derivation(Failing)
