"""Nearest training images of samples: whether a generator has memorized images.

Source: Goodfellow et al. 2014, arXiv:1406.2661, figure 2; distances in the features of a network
beside those of pixels, which a shift by one pixel already makes large.
"""

import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from ganforge.config.models import DataConfig
from ganforge.errors import MetricError
from ganforge.imaging.grids import Names
from ganforge.imaging.images import to_pil, to_uint8
from ganforge.inference.generate import run_request
from ganforge.inference.results import ImageGrid, check_grid_file
from ganforge.interfaces.architecture import Architecture
from ganforge.interfaces.generation import GenerateRequest
from ganforge.interfaces.metric import FeatureExtractor
from ganforge.io.atomic import write_text
from ganforge.io.cache import default_cache_dir
from ganforge.metrics.cache import FeatureCache
from ganforge.metrics.features import Extractor, Output, extract_features, over_white, plan_batches
from ganforge.metrics.real import RealSet, real_features
from ganforge.registry.plugins import get_registry
from ganforge.training.runtime import Runtime

_REAL_BATCH = 64
_OUTPUT = "pooled"


@dataclass(frozen=True)
class Neighbors(ImageGrid):
    """Samples, each with the nearest images of a data set in its row."""

    record: Mapping[str, Any] = field(default_factory=dict)
    """For each sample the index of its neighbors, and their distances."""

    def save(self, path: str | Path, *, scale: int = 1) -> Path:
        """Write the picture as PNG, and `record` beside it under the same name as JSON."""
        target = Path(path)
        check_grid_file(target, scale)
        write_text(target.with_suffix(".json"), json.dumps(self.record, indent=2) + "\n")
        return super().save(target, scale=scale)


@dataclass(frozen=True)
class Reference:
    """The images to compare with, and the network whose features are compared."""

    real: RealSet
    extractor: Extractor | None
    runtime: Runtime


def open_reference(
    location: str,
    shape: tuple[int, int, int],
    num_real: int | None,
    extractor: str | None,
    extractor_options: Mapping[str, Any],
) -> Reference:
    """Open the images, and build the network, before anything is generated.

    `shape` is (C, H, W) of the samples. All images are used when `num_real` is None; only pixels
    are compared when `extractor`, the name of a feature extractor, is None.

    Raises:
        DataError: the images cannot be read.
        MetricError: they are of another size, or the extractor cannot be had.
        PluginNotFound: no plugin provides the extractor.
    """
    real = RealSet(DataConfig(), location, num_real, None)
    if real.shape != shape:
        raise MetricError(
            f"The images at {location} are {_words(real.shape)}; the model makes {_words(shape)}. "
            f"Prepare the data set with the size and channels of the model."
        )
    runtime = Runtime(precision="fp32")
    built: Extractor | None = None
    if extractor is not None:
        built = get_registry().build(
            FeatureExtractor, extractor, dict(extractor_options), "extractor"
        )
        if _OUTPUT not in built.outputs:
            raise MetricError(
                f"Neighbors are found by '{_OUTPUT}' features, but the feature extractor "
                f"'{extractor}' has only {', '.join(built.outputs)}. Choose another extractor, or "
                f"compare pixels only."
            )
        built = built.to(runtime.device).eval()
    return Reference(real, built, runtime)


def find_neighbors(
    architecture: Architecture[Any],
    networks: Mapping[str, torch.nn.Module],
    request: GenerateRequest,
    reference: Reference,
    batch_size: int,
) -> Neighbors:
    """Generate, and find the nearest image of each sample by pixels and by features."""
    img = to_uint8(run_request(architecture, networks, request, batch_size))
    real = reference.real
    found = {"pixels": _nearest_pixels(img, real)}
    record: dict[str, Any] = {
        "reference": real.digest,
        "num_real": len(real),
        "pixel_distance": "root mean square difference of bytes, 0 to 255",
    }
    if reference.extractor is not None:
        found["features"] = _nearest_features(img, real, reference.extractor, reference.runtime)
        record |= {
            "feature_distance": "Euclidean distance of pooled features",
            "extractor": reference.extractor.name,
            "extractor_sha256": reference.extractor.sha256,
        }
    record["samples"] = [
        {"seed": int(seed)}
        | {
            kind: {"index": int(index[row]), "distance": float(distance[row])}
            for kind, (distance, index) in found.items()
        }
        for row, seed in enumerate(request.seeds)
    ]
    return _grid(img, request.seeds, found, reference, record)


def _grid(
    img: Tensor,
    seeds: Sequence[int],
    found: Mapping[str, tuple[Tensor, Tensor]],
    reference: Reference,
    record: Mapping[str, Any],
) -> Neighbors:
    columns = [to_pil(img)]
    captions = [[f"seed {seed}" for seed in seeds]]
    for distance, index in found.values():
        columns.append(to_pil(reference.real.images.batch(index.tolist())))
        captions.append([f"{value:.3g}" for value in distance.tolist()])
    names = Names(
        columns=("sample", *(f"by {kind}" for kind in found)),
        cells=tuple(caption for row in zip(*captions, strict=True) for caption in row),
    )
    cells = tuple(image for row in zip(*columns, strict=True) for image in row)
    return Neighbors(cells, len(columns), names, record)


def _nearest_pixels(img: Tensor, real: RealSet) -> tuple[Tensor, Tensor]:
    """Distances [N] and indices [N] of the nearest images."""
    plan = plan_batches(len(real), min(_REAL_BATCH, len(real)), 0, 1)
    batches = (over_white(part).float().flatten(1) for part in real.batches(plan))
    own = over_white(img).float().flatten(1)
    distance, index = nearest(own, batches)
    return distance / own.shape[1] ** 0.5, index


def _nearest_features(
    img: Tensor, real: RealSet, extractor: Extractor, runtime: Runtime
) -> tuple[Tensor, Tensor]:
    """Distances [N] and indices [N] of the nearest images by pooled features."""
    output = Output(extractor, _OUTPUT)
    cache = FeatureCache(default_cache_dir())
    theirs = real_features(real, [output], cache, runtime, _REAL_BATCH)[output]

    def samples(plan: Sequence[range]) -> Iterator[Tensor]:
        return (img[part.start : part.stop] for part in plan)

    own = extract_features(samples, len(img), [output], runtime, _REAL_BATCH)[output]
    return nearest(own, torch.split(theirs, _REAL_BATCH))


def nearest(rows: Tensor, batches: Iterator[Tensor] | Sequence[Tensor]) -> tuple[Tensor, Tensor]:
    """The nearest neighbors of `rows` [N, D] by Euclidean distance: distances [N], indices [N].

    The candidates come in batches [n, D]; of equally near ones the first is taken.
    """
    best = torch.full((len(rows),), torch.inf)
    index = torch.zeros(len(rows), dtype=torch.long)
    start = 0
    for part in batches:
        # By differences: the expanded square would not give 0 for equal rows.
        between = torch.cdist(rows, part, compute_mode="donot_use_mm_for_euclid_dist")
        distance, place = between.min(1)
        closer = distance < best
        best, index = torch.where(closer, distance, best), torch.where(closer, place + start, index)
        start += len(part)
    return best, index


def _words(shape: tuple[int, ...]) -> str:
    axes = ("frames", "channels", "height", "width")[-len(shape) :]
    return f"{' x '.join(map(str, shape))} ({', '.join(axes)})"
