"""FID, IS, KID, precision and recall, each a thin layer over torch-fidelity's own function.

Their numbers therefore equal `torch_fidelity.calculate_metrics` on the same images. torch-fidelity
is imported when a number is computed: it is slow to load, and the registry loads this module.
Shapes: N generated, M real images, D features.
"""

from typing import ClassVar

from pydantic import Field
from torch import Tensor

from ganforge.config.models import StrictModel
from ganforge.errors import MetricError
from ganforge.interfaces.metric import FeatureMetric

_FIDELITY_SEED = 2020  # torch-fidelity's default, so that published numbers can be repeated


class FrechetDistance(FeatureMetric[StrictModel]):
    """Frechet (Inception) distance: two Gaussians fitted to features of real and generated images.

    Source: Heusel et al. 2017, arXiv:1706.08500, Eq. 6.
    """

    name = "fid"

    def check(self, num_gen: int, num_real: int) -> None:
        """Refuse fewer than two images: they have no covariance."""
        _at_least(2, num_gen, num_real, self.name, "a covariance needs two")

    def caveats(self, gen: Tensor, real: Tensor) -> list[str]:
        """Say when a covariance cannot have full rank."""
        notes = []
        for what, features in (("generated", gen), ("real", real)):
            count, dim = features.shape
            if count <= dim:
                notes.append(
                    f"{count} {what} images for {dim} features: the covariance is rank-deficient "
                    f"and the distance biased upwards; use more than {dim}"
                )
        return notes

    def compute(self, gen: Tensor, real: Tensor) -> dict[str, float]:
        """The distance as `fid`, of features [N, D] and [M, D]."""
        return {"fid": _frechet_distance(gen, real)}


class FrechetDistanceOfHalves(FeatureMetric[StrictModel]):
    """Frechet distance of one half of the real images from the other: the scale of `fid`.

    No generator reaches a lower `fid` against as many images, so that it says what is good on an
    extractor and a data set of which nobody published numbers.
    """

    name = "fid_halves"

    def check(self, num_gen: int, num_real: int) -> None:
        """Refuse fewer than four real images: each half needs a covariance."""
        _at_least(4, 4, num_real, self.name, "each half needs two")

    def compute(self, gen: Tensor, real: Tensor) -> dict[str, float]:
        """The distance as `fid_halves`, of the even from the odd rows of real [M, D]."""
        return {"fid_halves": _frechet_distance(real[::2], real[1::2])}


def _frechet_distance(first: Tensor, second: Tensor) -> float:
    from torch_fidelity import metric_fid

    statistics = [metric_fid.fid_features_to_statistics(f) for f in (first, second)]
    found = metric_fid.fid_statistics_to_metric(*statistics, verbose=False)
    return float(found[metric_fid.KEY_METRIC_FID])


class InceptionScoreConfig(StrictModel):
    """Options of the Inception score."""

    splits: int = Field(10, gt=0, description="The score is the mean over this many parts.")


class InceptionScore(FeatureMetric[InceptionScoreConfig]):
    """Inception score: confident classes per image, many classes overall; needs no real images.

    Source: Salimans et al. 2016, arXiv:1606.03498, Sec. 4.
    """

    name = "is"
    Config = InceptionScoreConfig
    needs = "logits"
    needs_real: ClassVar[bool] = False
    lower_is_better: ClassVar[bool] = False

    def check(self, num_gen: int, num_real: int) -> None:
        """Refuse fewer images than parts: an empty part has no score."""
        if num_gen < self.config.splits:
            raise MetricError(
                f"The metric 'is' cuts {num_gen} generated images into {self.config.splits} "
                f"parts. Set evaluate.num_images to at least {self.config.splits}, or fewer "
                f"splits: {{name: is, splits: 1}}."
            )

    def compute(self, gen: Tensor, real: Tensor) -> dict[str, float]:
        """Mean over the parts as `is`, their standard deviation as `is_std`; gen are logits."""
        from torch_fidelity import metric_isc

        found = metric_isc.isc_features_to_metric(
            gen, self.config.splits, shuffle=True, rng_seed=_FIDELITY_SEED
        )
        return {
            "is": found[metric_isc.KEY_METRIC_ISC_MEAN],
            "is_std": found[metric_isc.KEY_METRIC_ISC_STD],
        }


class KernelDistanceConfig(StrictModel):
    """Options of the kernel distance."""

    subsets: int = Field(100, gt=0, description="Random subsets to average over.")
    subset_size: int = Field(1000, gt=1, description="Images in each subset.")


class KernelDistance(FeatureMetric[KernelDistanceConfig]):
    """Kernel (Inception) distance: unbiased squared MMD with a cubic kernel; suits few images.

    Source: Binkowski et al. 2018, arXiv:1801.01401, Sec. 4.
    """

    name = "kid"
    Config = KernelDistanceConfig

    def check(self, num_gen: int, num_real: int) -> None:
        """Refuse fewer images than a subset holds."""
        size = self.config.subset_size
        fewest = min(num_gen, num_real)
        _at_least(
            size, num_gen, num_real, self.name,
            f"subset_size is {size}; {{name: kid, subset_size: {fewest}}} (with -m: "
            f"kid:subset_size={fewest}) takes what there is",
        )  # fmt: skip

    def compute(self, gen: Tensor, real: Tensor) -> dict[str, float]:
        """Mean over the subsets as `kid`, their standard deviation as `kid_std`."""
        from torch_fidelity import metric_kid

        found = metric_kid.kid_features_to_metric(
            gen,
            real,
            kid_subsets=self.config.subsets,
            kid_subset_size=self.config.subset_size,
            rng_seed=_FIDELITY_SEED,
            verbose=False,
        )
        return {
            "kid": found[metric_kid.KEY_METRIC_KID_MEAN],
            "kid_std": found[metric_kid.KEY_METRIC_KID_STD],
        }


class PrecisionRecallConfig(StrictModel):
    """Options of precision and recall."""

    neighbors: int = Field(3, gt=0, description="Radius: the distance to this neighbor.")


class PrecisionRecall(FeatureMetric[PrecisionRecallConfig]):
    """Share of generated images near real ones (precision) and the reverse (recall).

    torch-fidelity uses VGG-16 features by default; here it uses the chosen extractor.

    Source: Kynkaanniemi et al. 2019, arXiv:1904.06991, Sec. 2.
    """

    name = "precision_recall"
    Config = PrecisionRecallConfig
    lower_is_better: ClassVar[bool] = False

    def check(self, num_gen: int, num_real: int) -> None:
        """Refuse fewer images than neighbors."""
        least = self.config.neighbors + 1
        _at_least(
            least, num_gen, num_real, self.name, f"each needs {self.config.neighbors} neighbors"
        )

    def compute(self, gen: Tensor, real: Tensor) -> dict[str, float]:
        """Shares from 0 to 1 as `precision` and `recall`, and their harmonic mean `f_score`."""
        from torch_fidelity import metric_prc

        found = metric_prc.prc_features_to_metric(
            gen,
            real,
            prc_neighborhood=self.config.neighbors,
            save_cpu_ram=True,  # never the whole N x M distance matrix
            verbose=False,
        )
        return {
            "precision": found[metric_prc.KEY_METRIC_PRECISION],
            "recall": found[metric_prc.KEY_METRIC_RECALL],
            "f_score": found[metric_prc.KEY_METRIC_F_SCORE],
        }


def _at_least(least: int, num_gen: int, num_real: int, metric: str, why: str) -> None:
    for what, count, key in (
        ("generated", num_gen, "evaluate.num_images"),
        ("real", num_real, "evaluate.num_real"),
    ):
        if count < least:
            raise MetricError(
                f"The metric '{metric}' has {count} {what} images and needs at least {least}: "
                f"{why}. Raise {key}."
            )
