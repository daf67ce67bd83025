"""The Laplacian pyramid. Source: Burt and Adelson 1983; Denton et al. 2015, arXiv:1506.05751.

Levels are counted from the coarsest image, 0, to the full one.
"""

from collections.abc import Sequence

from torch import Tensor
from torch.nn import functional


def shrink(img: Tensor) -> Tensor:
    """Downsample by two: [N, C, H, W] -> [N, C, H / 2, W / 2], the mean of each 2x2 block."""
    return functional.avg_pool2d(img, 2)


def enlarge(img: Tensor) -> Tensor:
    """Upsample by two: [N, C, H, W] -> [N, C, 2 H, 2 W], bilinear."""
    return functional.interpolate(img, scale_factor=2.0, mode="bilinear", align_corners=False)


def gaussian_pyramid(img: Tensor, num_levels: int) -> list[Tensor]:
    """The image at each level, coarsest first; the last is the image itself.

    Args:
        img: [N, C, H, W], sides divisible by 2 ** (num_levels - 1).
        num_levels: length of the result.
    """
    levels = [img]
    for _ in range(num_levels - 1):
        levels.append(shrink(levels[-1]))
    return levels[::-1]


def laplacian_pyramid(img: Tensor, num_levels: int) -> list[Tensor]:
    """The coarsest image, then the difference of each level from the upsampled one before it.

    Args:
        img: [N, C, H, W], sides divisible by 2 ** (num_levels - 1).
        num_levels: length of the result.

    Source: Denton et al. 2015, arXiv:1506.05751, Eq. 4.
    """
    levels = gaussian_pyramid(img, num_levels)
    pairs = zip(levels[:-1], levels[1:], strict=True)
    return [levels[0], *(fine - enlarge(coarse) for coarse, fine in pairs)]


def reconstruct(bands: Sequence[Tensor]) -> Tensor:
    """The image [N, C, H, W] with this `laplacian_pyramid`.

    Source: Denton et al. 2015, arXiv:1506.05751, Eq. 5.
    """
    img = bands[0]
    for band in bands[1:]:
        img = enlarge(img) + band
    return img
