"""How diverse samples are, and how many modes of the data they cover."""

import torch
from torch import Tensor
from torch.nn import functional

# More clusters would split the modes of simple data, and each half would need its own samples.
_MAX_MODES = 8
_IMAGES_PER_MODE = 4
# A mode is covered when samples have this fraction of its share in the data.
_MIN_SHARE = 0.25


def features(img: Tensor) -> Tensor:
    """Low-resolution pixels [N, D] float32, in which images are compared.

    Args:
        img: [N, C, H, W], averaged to at most 16x16 so that content counts more than noise and
            detail; any other [N, ...] is only flattened.
    """
    if img.ndim == 4:
        side = (min(16, img.shape[2]), min(16, img.shape[3]))
        img = functional.adaptive_avg_pool2d(img.float(), side)
    return img.float().flatten(1)


def diversity(img: Tensor) -> float:
    """Mean distance between two images of a batch, in units of the value range.

    Args:
        img: [N, C, H, W] or [N, D].
    """
    flat = features(img)
    if flat.shape[0] < 2:
        return 0.0
    return float(functional.pdist(flat).mean() / flat.shape[1] ** 0.5)


class Modes:
    """Clusters of real samples, to measure how many of them generated samples cover.

    A sample belongs to the nearest cluster, however bad it looks. So this measures modes and not
    quality, unlike coverage by neighborhoods (Naeem et al. 2020, arXiv:2002.09797), which is low
    for all samples that are not yet sharp.

    Args:
        real: [N, D] features of real samples.

    Source: bins as in Richardson and Weiss 2018, arXiv:1805.12462, Sec. 3.
    """

    def __init__(self, real: Tensor) -> None:
        num_modes = max(1, min(_MAX_MODES, len(real) // _IMAGES_PER_MODE))
        self._centers = _cluster_centers(real, num_modes)
        self._real_shares = self._shares(real)

    def coverage(self, gen: Tensor) -> float:
        """The fraction of real samples whose cluster has its share of generated samples [M, D]."""
        is_covered = self._shares(gen) >= _MIN_SHARE * self._real_shares
        return float(self._real_shares[is_covered].sum())

    def _shares(self, samples: Tensor) -> Tensor:
        counts = torch.bincount(_nearest(samples, self._centers), minlength=len(self._centers))
        return counts / max(1, len(samples))


def _nearest(samples: Tensor, centers: Tensor) -> Tensor:
    return torch.cdist(samples, centers).argmin(dim=1)


def _cluster_centers(samples: Tensor, num: int) -> Tensor:
    """Centers [num, D] by k-means, which starts from samples far apart: deterministic."""
    centers = samples[torch.cdist(samples, samples.mean(dim=0, keepdim=True)).argmin()][None]
    for _ in range(num - 1):
        farthest = torch.cdist(samples, centers).amin(dim=1).argmax()
        centers = torch.cat([centers, samples[farthest][None]])
    for _ in range(20):
        members = functional.one_hot(_nearest(samples, centers), num).to(samples.dtype)
        counts = members.sum(dim=0)[:, None]
        centers = torch.where(counts > 0, members.T @ samples / counts.clamp(min=1), centers)
    return centers
