"""PSNR and SSIM equal scikit-image's numbers, which were computed as `EXPECTED` says."""

import math

import numpy as np
import pytest
import torch

from ganforge.config.models import StrictModel
from ganforge.errors import MetricError
from ganforge.imaging.images import from_uint8
from ganforge.metrics.pair_scores import Psnr, Ssim, SsimConfig

GAUSSIAN = {"gaussian_weights": True, "sigma": 1.5, "use_sample_covariance": False}


def photo(height, width, channels):
    """A picture [H, W, C] uint8 of gradients and edges."""
    row, column, channel = np.indices((height, width, channels))
    smooth = 2 * row + 3 * column + 40 * channel
    return (np.where((row // 6 + column // 9) % 2, smooth, 255 - smooth) % 256).astype(np.uint8)


def spoiled(img, strength):
    """The picture with a fixed pattern of errors of at most `strength`."""
    row, column, channel = np.indices(img.shape)
    error = (7 * row + 13 * column + 5 * row * column + channel) % (2 * strength + 1) - strength
    return np.clip(img + error, 0, 255).astype(np.uint8)


def tensor(img):
    return from_uint8(torch.from_numpy(img).permute(2, 0, 1)[None])


def psnr(output, target):
    return Psnr(StrictModel()).compare(target, output, target)["psnr"]


def ssim(output, target, **options):
    return Ssim(SsimConfig(**options)).compare(target, output, target)["ssim"]


CASES = [(32, 40, 3, 5), (17, 11, 1, 60), (24, 24, 4, 130)]
"""Height, width, channels, strength of the errors."""
EXPECTED = [
    (38.378640296550074, 0.9875010585185672, 0.9828067722382232),
    (18.448272189057214, 0.9410739300602734, 0.8950233900333426),
    (11.357992797486558, 0.35965774493693997, 0.3224636498290132),
]
"""By scikit-image 0.26.0, for target = photo(*case[:3]) and output = spoiled(target, case[3]):

    peak_signal_noise_ratio(target, output, data_range=255)
    structural_similarity(target, output, channel_axis=2, data_range=255)
    structural_similarity(target, output, channel_axis=2, data_range=255, **GAUSSIAN)
"""


@pytest.mark.parametrize(("case", "expected"), zip(CASES, EXPECTED, strict=True))
def test_psnr_and_ssim_equal_scikit_image(case, expected):
    target = photo(*case[:3])
    pair = tensor(spoiled(target, case[3])), tensor(target)
    found = psnr(*pair), ssim(*pair), ssim(*pair, gaussian_weights=True)
    assert [value.item() for value in found] == pytest.approx(expected, rel=1e-10)


@pytest.mark.parametrize("name", ["astronaut", "chelsea", "camera"])
def test_psnr_and_ssim_equal_an_installed_scikit_image_on_photos(name):
    data = pytest.importorskip("skimage.data")
    metrics = pytest.importorskip("skimage.metrics")
    target = np.atleast_3d(getattr(data, name)())
    output, options = spoiled(target, 30), {"channel_axis": 2, "data_range": 255}
    pair = tensor(output), tensor(target)
    expected = metrics.peak_signal_noise_ratio(target, output, data_range=255)
    assert psnr(*pair).item() == pytest.approx(expected, abs=1e-6)
    expected = metrics.structural_similarity(target, output, **options)
    assert ssim(*pair).item() == pytest.approx(expected, abs=1e-6)
    expected = metrics.structural_similarity(target, output, **options, **GAUSSIAN)
    assert ssim(*pair, gaussian_weights=True).item() == pytest.approx(expected, abs=1e-6)


@pytest.mark.parametrize("measure", [psnr, ssim])
def test_pair_scores_of_a_batch_are_those_of_each_pair(measure):
    targets = [photo(20, 24, 3), 255 - photo(20, 24, 3)] * 6
    pairs = [(tensor(spoiled(img, 2 + n)), tensor(img)) for n, img in enumerate(targets)]
    together = measure(*(torch.cat(images) for images in zip(*pairs, strict=True)))
    assert together.tolist() == pytest.approx([measure(*pair).item() for pair in pairs], rel=1e-12)
    assert together.dtype == torch.float64


def test_psnr_of_identical_images_is_the_highest_of_their_size():
    metric, target = Psnr(StrictModel()), photo(8, 8, 3)
    nearly = target.copy()
    nearly[3, 4, 1] ^= 1
    output = torch.cat([tensor(img) for img in (target, nearly, spoiled(target, 9))])
    values = metric.compare(output, output, tensor(target).expand_as(output))
    highest = 10 * math.log10(255**2 * 8 * 8 * 3)
    assert values["psnr"][:2].tolist() == pytest.approx([highest, highest])
    assert values["psnr"][2] < 40 and values["identical"].tolist() == [True, False, False]


def test_psnr_mean_is_over_all_pairs_and_identical_ones_are_counted():
    metric = Psnr(StrictModel())
    values = {"psnr": torch.tensor([20.0, 60.0, 70.0]), "identical": torch.tensor([0.0, 1, 1])}
    assert metric.compute(values) == {"psnr": 50.0}
    (caveat,) = metric.caveats(values)
    assert caveat.startswith("2 of 3 outputs equal their targets exactly; each counts as 70.0 dB")
    assert metric.caveats({**values, "identical": torch.zeros(3)}) == []


def test_ssim_of_identical_images_is_one():
    img = tensor(photo(16, 16, 3))
    assert ssim(img, img).item() == pytest.approx(1)


@pytest.mark.parametrize(("options", "side"), [({}, 7), ({"gaussian_weights": True}, 11)])
def test_ssim_of_images_below_its_window_is_refused(options, side):
    img = torch.zeros(1, 1, side - 1, 40)
    message = f"windows of {side}x{side} pixels, but the images are {side - 1}x40. Leave it out"
    with pytest.raises(MetricError, match=message):
        ssim(img, img, **options)
    img = torch.zeros(1, 1, side, 40)
    assert ssim(img, img, **options).item() == 1
