"""How many samples are copies of training images."""

import itertools

import torch
from torch import Tensor

from ganforge.data.shards.index import load_index
from ganforge.training.fields import fixed_batches
from ganforge.training.state.run_state import TrainingRun
from ganforge.training.tasks.modes import features

# Yoon et al. 2023: a sample is a copy if its nearest training image is three times nearer than the
# second nearest one.
_RATIO = 1 / 3
# Large data sets are hardly ever memorized, and reading them would delay the start: these are at
# most 4,096 images at 64x64, 256 at 256x256.
_MAX_PIXELS = 2**24
_MAX_IMAGES = 4096
_MIN_IMAGES = 8
_BATCH = 64


class Copies:
    """All training images, to look for copies of them in low-resolution pixels.

    A blurred or bad sample has no image that is much nearer than the others, so it is no copy.

    Args:
        train: [N, D] `features` of all training images, N > 1.

    Source: Yoon et al. 2023, "Diffusion probabilistic models generalize when they fail to
    memorize", ICML workshop on structured probabilistic inference.
    """

    def __init__(self, train: Tensor) -> None:
        self._train = train
        distances = torch.cdist(train, train).fill_diagonal_(torch.inf)
        self.usual = _fraction(distances)
        """Fraction of the training images that are copies of others by the same rule."""

    def fraction(self, img: Tensor) -> float:
        """The fraction of images [M, C, H, W] that are copies, mirrored or not."""
        pairs = (torch.cdist(features(view).cpu(), self._train) for view in (img, img.flip(-1)))
        return _fraction(torch.minimum(*pairs))


def training_features(run: TrainingRun, location: str) -> Tensor | None:
    """`features` [N, D] of all training images; None for translators, video and large data sets.

    A translator should come near its target.
    """
    count, spec = load_index(location).num_samples(), run.spec
    limit = min(_MAX_IMAGES, _MAX_PIXELS // (spec.height * spec.width))
    is_small = _MIN_IMAGES <= count <= limit
    if run.architecture.directions or not is_small or not run.config.train.health.enabled:
        return None
    batches = fixed_batches(run, location, ("image",), min(_BATCH, count))
    try:
        needed = itertools.islice(batches, -(-count // _BATCH))
        return torch.cat([features(batch.image).cpu() for batch in needed])[:count]
    finally:
        batches.close()


def _fraction(distances: Tensor) -> float:
    """Of rows [M, N] of distances to training images."""
    nearest = distances.topk(2, largest=False).values
    return float((nearest[:, 0] < _RATIO * nearest[:, 1]).float().mean())
