"""What people do with a generator beyond single images: walk, mix, add, compare classes."""

from abc import abstractmethod
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

import torch
from PIL import Image
from torch import Tensor, nn

from ganforge.errors import ConfigError
from ganforge.hub.format import ModelInfo
from ganforge.imaging.grids import Names
from ganforge.imaging.images import to_pil
from ganforge.inference.batches import iterate_request
from ganforge.inference.mixing import (
    arithmetic_sheet,
    blended_request,
    crossed_styles,
    num_given,
    walk,
)
from ganforge.inference.requests import Label, Term, parse_terms, resolve_seeds
from ganforge.inference.results import Film, Sheet
from ganforge.interfaces.architecture import Architecture
from ganforge.interfaces.generation import GenerateRequest

if TYPE_CHECKING:
    from ganforge.inference.neighbours import Neighbours

PathKind = Literal["linear", "spherical"]
_MAX_STEPS = 10_000
_MAX_FRAMES = 1_000_000
_DEFAULT_CLASSES = 20
"""A class grid of more classes is asked for by name."""


class SamplingMethods:
    """The sampling methods of `PretrainedGan`; they need what generates, and nothing else.

    Latents between seeds are asked for through `GenerateRequest.blend`, so that every
    architecture has them in z, and in each further space that it names.
    """

    architecture: Architecture[Any]
    networks: Mapping[str, nn.Module]
    info: ModelInfo

    @abstractmethod
    def _request(
        self, seeds: list[int], labels: Any, truncation: float | None, options: dict[str, Any]
    ) -> GenerateRequest: ...

    def interpolate(
        self,
        seeds: Sequence[int] | int,
        *,
        steps: int = 30,
        space: str | None = None,
        path: PathKind | None = None,
        loop: bool = False,
        labels: Sequence[Label] | Tensor | Label | None = None,
        truncation: float | None = None,
        batch_size: int = 16,
        **options: Any,
    ) -> Film:
        """Images on the way from seed to seed; those of the seeds are what `generate` gives.

        Args:
            seeds: the key frames, two or more; one seed may serve several labels.
            steps: frames from one key frame to the next.
            space: latent space to walk in. Default: the architecture's best, w before z.
            path: "spherical" turns round 0 at constant speed and keeps the latent's length,
                "linear" goes straight. Default: spherical in z, linear elsewhere.
            loop: go back to the first; the last frame is the step before it, so that a film
                that repeats has no jump.
            labels: a class for all, or one per key frame; between two, their conditions mix.
                Drawn from the seeds when left out.
            truncation: as for `generate`.
            batch_size: images made at a time.
            options: as for `generate`; attributes and texts mix like labels.

        Raises:
            ConfigError: the model cannot do it; nothing has been generated.
        """
        found = self._noise_seeds(None, seeds)
        if len(found) == 1:
            found = found * num_given(labels, options)
        if len(found) < 2:
            raise ConfigError(
                f"Only one key frame was given (seed {found[0]}); there is nothing between. Give "
                f"two or more seeds, or one seed and two or more labels."
            )
        if not 1 <= steps <= _MAX_STEPS:
            raise ConfigError(
                f"steps={steps}; use at least 1 frame from one seed to the next, and at most "
                f"{_MAX_STEPS}."
            )
        if steps * len(found) > _MAX_FRAMES:
            raise ConfigError(
                f"steps={steps} between {len(found)} key frames are more than {_MAX_FRAMES} "
                f"frames, which are kept in memory. Use fewer steps or seeds."
            )
        chosen = self._space(space)
        if path not in (None, "linear", "spherical"):
            raise ConfigError(f"path={path!r} is unknown. Use 'linear' or 'spherical'.")
        is_spherical = (path or ("spherical" if chosen == "z" else "linear")) == "spherical"
        keys = self._request(found, labels, truncation, options)
        starts, ends, t = walk(len(found), steps, loop)
        request = blended_request(
            keys, [starts, ends], torch.stack([1.0 - t, t]), chosen, is_spherical=is_spherical
        )
        return Film(tuple(self._images(request, batch_size)), steps, loop)

    def mix_styles(
        self,
        rows: Sequence[int] | int,
        columns: Sequence[int] | int,
        *,
        layers: tuple[int, int] | None = None,
        labels: Sequence[Label] | Label | None = None,
        truncation: float | None = None,
        batch_size: int = 16,
        **options: Any,
    ) -> Sheet:
        """A grid whose rows share the coarse styles of one seed, its columns the fine ones.

        The seeds' own images stand in the first column and the first row (Karras et al. 2019,
        arXiv:1812.04948, figure 3).

        Args:
            rows: seeds, one per row.
            columns: seeds, one per column.
            layers: first and last layer that take the column's style, from 0, the coarsest.
                Default: the finer half.
            labels: one class for all, or one per seed, rows before columns. Drawn from the
                seeds when left out.
            truncation: as for `generate`.
            batch_size: images made at a time.
            options: as for `generate`.

        Raises:
            ConfigError: the architecture has no layers of styles, or not these.
        """
        row_seeds, column_seeds = self._noise_seeds(None, rows), self._noise_seeds(None, columns)
        num, space = self.architecture.num_styles(self.networks), self._space(None)
        if num == 0:
            raise ConfigError(
                f"'{self.info.architecture}' has no layers of styles to mix; its latent spaces "
                f"are {', '.join(self.architecture.latent_spaces)}. Use interpolate, or a model "
                "whose generator has them."
            )
        first, last = layers or (num // 2, num - 1)
        if not 0 <= first <= last < num:
            raise ConfigError(
                f"layers={first} to {last}: this model has the layers 0 to {num - 1}, from coarse "
                f"to fine. Give the first and the last that take the column's style."
            )
        keys = self._request([*row_seeds, *column_seeds], labels, truncation, options)
        own = list(self._images(keys, batch_size))
        num_rows, num_columns = len(row_seeds), len(column_seeds)
        request = crossed_styles(keys, num_rows, slice(first, last + 1), num, space)
        mixed = list(self._images(request, batch_size))
        cells: list[Image.Image | None] = [None, *own[num_rows:]]
        for r in range(num_rows):
            cells += [own[r], *mixed[r * num_columns : (r + 1) * num_columns]]
        names = Names(
            rows=("", *(f"seed {seed}" for seed in row_seeds)),
            columns=(f"fine: {first}-{last}", *(f"seed {seed}" for seed in column_seeds)),
        )
        return Sheet(tuple(cells), num_columns + 1, names)

    def arithmetic(
        self,
        terms: str | Sequence[Term],
        *,
        space: str | None = None,
        labels: Sequence[Label] | Label | None = None,
        truncation: float | None = None,
        batch_size: int = 16,
        **options: Any,
    ) -> Sheet:
        """Add and subtract mean latents: a - b + c, each the mean over several seeds.

        Args:
            terms: "1,2,3 - 4,5,6 + 7-9", or (factor, seeds) for each term.
            space: latent space to add in. Default: the architecture's best, w before z.
            labels: one class for all, or one per seed in order. Drawn from the seeds when left
                out, and averaged too.
            truncation: as for `generate`.
            batch_size: images made at a time.
            options: as for `generate`.

        Returns:
            A column for each term with the images of its seeds and, last, of their mean; and the
            result, the last image (Radford et al. 2016, arXiv:1511.06434, figure 7).

        Raises:
            ConfigError: the terms cannot be read, or the model cannot do it.
        """
        parsed = parse_terms(terms)
        chosen, groups = self._space(space), [seeds for _, seeds in parsed]
        flat = [seed for seeds in groups for seed in self._noise_seeds(None, seeds)]
        keys = self._request(flat, labels, truncation, options)
        exemplars = list(self._images(keys, batch_size))
        # Image i is the mean of term i; the last one is the sum of all terms.
        weights = torch.zeros(len(flat), len(parsed) + 1)
        start, columns = 0, []
        for index, (factor, seeds) in enumerate(parsed):
            stop = start + len(seeds)
            weights[start:stop, index] = 1.0 / len(seeds)
            weights[start:stop, -1] = factor / len(seeds)
            columns.append(exemplars[start:stop])
            start = stop
        rows = [[row] * (len(parsed) + 1) for row in range(len(flat))]
        request = blended_request(keys, rows, weights, chosen)
        return arithmetic_sheet(parsed, columns, list(self._images(request, batch_size)))

    def class_grid(
        self,
        num: int | None = None,
        *,
        seeds: Sequence[int] | int | None = None,
        labels: Sequence[Label] | None = None,
        by: Literal["row", "column"] = "row",
        truncation: float | None = None,
        batch_size: int = 16,
        **options: Any,
    ) -> Sheet:
        """One row (or column) per class, with the same latents in each.

        Args:
            num: images per class. Default: one per seed, else 8.
            seeds: the latents. Default: 0, 1, 2, ...
            labels: classes, by index or name. Default: all of them.
            by: whether a class is a "row" or a "column".
            truncation: as for `generate`.
            batch_size: images made at a time.
            options: as for `generate`.

        Raises:
            ConfigError: the model has no classes, or so many that they must be named.
        """
        names = self.info.spec.class_names if "label" in self.info.conditioning else ()
        if not names:
            raise ConfigError(
                "This model was trained without classes, so there is no grid of them. Use "
                "generate, or a model trained on labelled data."
            )
        if labels is None and len(names) > _DEFAULT_CLASSES:
            raise ConfigError(
                f"This model has {len(names)} classes; one picture of all is too large. Name those "
                f"to show, e.g. labels=[{names[0]!r}, {names[1]!r}]."
            )
        if by not in ("row", "column"):
            raise ConfigError(f"by={by!r} is unknown. Use 'row' or 'column'.")
        wanted: Sequence[Label] = range(len(names)) if labels is None else labels
        found = self._noise_seeds(8 if num is None and seeds is None else num, seeds)
        pairs = [(seed, label) for label in wanted for seed in found]
        if by == "column":
            pairs = [(seed, label) for seed in found for label in wanted]
        request = self._request(
            [seed for seed, _ in pairs], [label for _, label in pairs], truncation, options
        )
        assert request.label is not None
        index = request.label.argmax(1).tolist()
        per_class = len(found) if by == "row" else 1
        written = tuple(names[index[i * per_class]] for i in range(len(wanted)))
        return Sheet(
            tuple(self._images(request, batch_size)),
            len(found) if by == "row" else len(wanted),
            Names(rows=written) if by == "row" else Names(columns=written),
        )

    def nearest(
        self,
        reference: str | Path,
        *,
        seeds: Sequence[int] | int | None = None,
        extractor: str | None = "inception_v3",
        extractor_options: Mapping[str, Any] | None = None,
        num_real: int | None = None,
        labels: Sequence[Label] | Tensor | Label | None = None,
        truncation: float | None = None,
        batch_size: int = 16,
        **options: Any,
    ) -> "Neighbours":
        """Samples beside the training images nearest to them, by pixels and by features.

        Args:
            reference: folder or URL of prepared shards: the training images.
            seeds: one per sample. Default: 0 to 7.
            extractor: whose features are compared; None compares pixels only.
            extractor_options: e.g. {"weights": PATH}.
            num_real: compare with the first of the images only.
            labels: as for `generate`.
            truncation: as for `generate`.
            batch_size: images made at a time.
            options: as for `generate`.

        Raises:
            ConfigError: the request does not fit the model.
            DataError: the images cannot be read.
            MetricError: they have another size, or the extractor cannot be had.
        """
        # Metrics and their libraries are needed here only.
        from ganforge.inference.neighbours import find_neighbours, open_reference

        found = self._noise_seeds(8 if seeds is None else None, seeds)
        request = self._request(found, labels, truncation, options)
        spec = self.info.spec
        shape = (spec.channels, spec.height, spec.width)
        opened = open_reference(str(reference), shape, num_real, extractor, extractor_options or {})
        return find_neighbours(self.architecture, self.networks, request, opened, batch_size)

    def _noise_seeds(self, num: int | None, seeds: Sequence[int] | int | None) -> list[int]:
        """The seeds, for a model that makes images from noise alone."""
        if self.architecture.translates:
            raise ConfigError(
                f"'{self.info.architecture}' translates images "
                f"({', '.join(self.architecture.translates)}) and has no latents to sample; use "
                f"translate(images)."
            )
        return resolve_seeds(num, seeds)

    def _space(self, space: str | None) -> str:
        spaces = self.architecture.latent_spaces
        if space is not None and space not in spaces:
            raise ConfigError(
                f"The architecture '{self.info.architecture}' has no latent space {space!r}. It "
                f"has {', '.join(spaces)}."
            )
        return space or spaces[-1]

    def _images(self, request: GenerateRequest, batch_size: int) -> list[Image.Image]:
        batches = iterate_request(self.architecture, self.networks, request, batch_size)
        return [image for img in batches for image in to_pil(img)]
