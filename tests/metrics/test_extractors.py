import hashlib

import pytest
import torch
from metrics.inception import random_inception_weights
from metrics.tiny import images, png
from torch.testing import assert_close

from ganforge.errors import MetricError
from ganforge.metrics.extractors import InceptionV3, InceptionV3Config
from ganforge.metrics.scores import (
    InceptionScore,
    InceptionScoreConfig,
    KernelDistance,
    KernelDistanceConfig,
)

URLOPEN = "ganforge.metrics.weights.urllib.request.urlopen"


@pytest.fixture(scope="module")
def weights(tmp_path_factory):
    return str(random_inception_weights(tmp_path_factory.mktemp("inception") / "random.pth"))


@pytest.fixture(scope="module")
def inception(weights):
    return InceptionV3(InceptionV3Config(weights=weights, sha256=None)).eval()


def test_inception_numbers_equal_torch_fidelity_on_the_same_pngs(weights, inception, tmp_path):
    import torch_fidelity

    gen, real = images(3, 0, channels=3, side=16), images(3, 1, channels=3, side=16)
    for folder, img in (("gen", gen), ("real", real)):
        (tmp_path / folder).mkdir()
        for number, one in enumerate(img):
            (tmp_path / folder / f"{number}.png").write_bytes(png(one))
    expected = torch_fidelity.calculate_metrics(
        input1=str(tmp_path / "gen"), input2=str(tmp_path / "real"), cuda=False, isc=True,
        kid=True, feature_extractor_weights_path=weights, kid_subset_size=2, kid_subsets=4,
        isc_splits=1, cache=False, verbose=False, save_cpu_ram=True,
    )  # fmt: skip
    with torch.no_grad():
        gen_features, real_features = inception(gen), inception(real)
    kid = KernelDistance(KernelDistanceConfig(subset_size=2, subsets=4))
    score = InceptionScore(InceptionScoreConfig(splits=1))
    found = kid.compute(gen_features["pooled"], real_features["pooled"])
    logits = gen_features["logits"]
    found |= score.compute(logits, logits[:0])
    assert found["kid"] == pytest.approx(expected[torch_fidelity.KEY_METRIC_KID_MEAN], rel=1e-6)
    assert found["is"] == pytest.approx(expected[torch_fidelity.KEY_METRIC_ISC_MEAN], rel=1e-6)
    assert gen_features["pooled"].std() > 0.1


def test_inception_gray_is_repeated_to_rgb(inception):
    gray = images(1, 0, channels=1, side=16)
    with torch.no_grad():
        assert_close(inception(gray)["pooled"], inception(gray.repeat(1, 3, 1, 1))["pooled"])


def test_inception_folded_norms_and_bf16_stay_close(weights, inception, monkeypatch):
    monkeypatch.setattr("torch.compile", lambda module: module)
    img = images(1, 0, channels=3, side=16)
    folded = InceptionV3(InceptionV3Config(weights=weights, sha256=None, compile=True))
    coarse = InceptionV3(InceptionV3Config(weights=weights, sha256=None, precision="bf16"))
    assert (folded.compiled, folded.precision) == (True, "fp32")
    assert (coarse.compiled, coarse.precision) == (False, "bf16")
    with torch.no_grad():
        expected = inception(img)["pooled"]
        assert_close(folded.eval()(img)["pooled"], expected, rtol=1e-4, atol=1e-4)
        distance = (coarse.eval()(img)["pooled"] - expected).norm() / expected.norm()
    assert 1e-5 < distance < 0.05


def test_inception_hash_is_that_of_the_file(weights, inception):
    with open(weights, "rb") as file:
        assert inception.sha256 == hashlib.sha256(file.read()).hexdigest()


def test_weights_of_another_hash_are_refused(weights):
    with pytest.raises(MetricError, match=r"random.pth has SHA-256 .*6726825d.*sha256: null"):
        InceptionV3(InceptionV3Config(weights=weights))


@pytest.mark.parametrize("content", [b"garbage", b""])
def test_weights_that_are_no_weights_are_refused(tmp_path, content):
    path = tmp_path / "bad.pth"
    path.write_bytes(content)
    with pytest.raises(MetricError, match="bad.pth does not hold the weights.*6726825d"):
        InceptionV3(InceptionV3Config(weights=str(path), sha256=None))


class Evil:
    def __reduce__(self):
        return pytest.fail, ("code in the weights file was run",)


def test_weights_that_run_code_are_refused(tmp_path):
    torch.save({"x": Evil()}, tmp_path / "evil.pth")
    with pytest.raises(MetricError, match="evil.pth does not hold the weights"):
        InceptionV3(InceptionV3Config(weights=str(tmp_path / "evil.pth"), sha256=None))


def test_weights_of_another_network_are_refused(tmp_path):
    torch.save({"x": torch.zeros(1)}, tmp_path / "other.pth")
    with pytest.raises(MetricError, match="other.pth does not hold the weights.*Use the file"):
        InceptionV3(InceptionV3Config(weights=str(tmp_path / "other.pth"), sha256=None))
