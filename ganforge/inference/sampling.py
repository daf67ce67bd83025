"""The sampling methods of a published generator: interpolate, mix styles, add, compare."""

from abc import abstractmethod
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from PIL import Image
from torch import nn

from ganforge.errors import ConfigError
from ganforge.hub.format import ModelInfo
from ganforge.imaging.grids import Names
from ganforge.inference.blends import interpolation, means_and_sum, mixed_styles
from ganforge.inference.conditions import Label
from ganforge.inference.results import Animation, ImageGrid, arithmetic_grid, style_grid
from ganforge.inference.seeds import Seeds, Term, parse_terms, resolve_seeds
from ganforge.interfaces.architecture import Architecture
from ganforge.interfaces.generation import GenerateRequest
from ganforge.interfaces.spec import ImageSpec

if TYPE_CHECKING:
    from ganforge.inference.neighbors import Neighbors

PathKind = Literal["linear", "spherical"]
_MAX_STEPS = 10_000
_MAX_FRAMES = 1_000_000
_MAX_CLASSES = 20


class SamplingMethods:
    """The sampling methods of `PretrainedGan`.

    `conditions` of each method are `labels`, `attributes`, `text`, `text_encoder`, `truncation`
    and the architecture's own options, as for `PretrainedGan.generate`: one for all seeds, or one
    for each. Latents between seeds are requested by `GenerateRequest.blend`, so that each
    architecture has them in z, and in every other latent space that it names.
    """

    architecture: Architecture[Any]
    networks: Mapping[str, nn.Module]
    info: ModelInfo

    @property
    def spec(self) -> ImageSpec:
        """Size, channels and conditions of the images."""
        return self.info.spec

    @property
    def class_names(self) -> tuple[str, ...]:
        """Names of the classes; empty when the model is not class-conditional."""
        return self.spec.class_names if "label" in self.info.conditioning else ()

    @abstractmethod
    def request(self, **conditions: Any) -> GenerateRequest:
        """A validated request; see `build_request`."""

    @abstractmethod
    def images(self, request: GenerateRequest, batch_size: int) -> Iterator[Image.Image]:
        """The images of a request, made batch by batch."""

    def interpolate(
        self,
        seeds: Seeds,
        *,
        steps: int = 30,
        space: str | None = None,
        path: PathKind | None = None,
        loop: bool = False,
        batch_size: int = 16,
        **conditions: Any,
    ) -> Animation:
        """Interpolate from seed to seed; the keyframes equal what `generate` gives for the seeds.

        Args:
            seeds: the keyframes, two or more; or one seed with several labels, say.
            steps: frames from one keyframe to the next.
            space: latent space to interpolate in. Default: the architecture's best, w before z.
            path: "spherical" keeps the norm of the latent and turns at constant speed, "linear"
                goes straight. Default: spherical in z, linear elsewhere.
            loop: return to the first keyframe. The last frame precedes the first, so that the
                animation repeats without a jump.
            batch_size: images generated at a time.
            conditions: see `SamplingMethods`; interpolated like the latents.

        Raises:
            ConfigError: the model cannot do it; nothing has been generated.
        """
        if not 1 <= steps <= _MAX_STEPS:
            raise ConfigError(
                f"steps={steps}; use at least 1 frame from one seed to the next, and at most "
                f"{_MAX_STEPS}."
            )
        if path not in (None, "linear", "spherical"):
            raise ConfigError(f"path={path!r} is unknown. Use 'linear' or 'spherical'.")
        keyframes = self.request(seeds=seeds, **conditions)
        space = self._space(space)
        if keyframes.size < 2:
            raise ConfigError(
                f"Only one keyframe was given (seed {keyframes.seeds[0]}); there is nothing to "
                f"interpolate. Give two or more seeds, or one seed and two or more labels."
            )
        if steps * keyframes.size > _MAX_FRAMES:
            raise ConfigError(
                f"steps={steps} between {keyframes.size} keyframes are more than {_MAX_FRAMES} "
                f"frames, which are kept in memory. Use fewer steps or seeds."
            )
        is_spherical = path == "spherical" or (path is None and space == "z")
        request = interpolation(keyframes, steps, loop, space, is_spherical)
        return Animation(tuple(self.images(request, batch_size)), steps, loop)

    def mix_styles(
        self,
        rows: Seeds,
        columns: Seeds,
        *,
        layers: tuple[int, int] | None = None,
        batch_size: int = 16,
        **conditions: Any,
    ) -> ImageGrid:
        """A grid whose rows share the coarse styles of a seed, and whose columns the fine ones.

        The seeds' own images stand in the first column and the first row (Karras et al. 2019,
        arXiv:1812.04948, figure 3).

        Args:
            rows: seeds, one per row.
            columns: seeds, one per column.
            layers: first and last layer that take the style of the column, counted from 0, the
                coarsest. Default: the finer half.
            batch_size: images generated at a time.
            conditions: see `SamplingMethods`; one per seed means rows before columns.

        Raises:
            ConfigError: the architecture has no layers of styles, or not these.
        """
        row_seeds, column_seeds = resolve_seeds(None, rows), resolve_seeds(None, columns)
        keyframes = self.request(seeds=[*row_seeds, *column_seeds], **conditions)
        num = self.architecture.num_styles(self.networks)
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
        fine, space = slice(first, last + 1), self._space(None)
        request = mixed_styles(keyframes, len(row_seeds), fine, num, space)
        own, mixed = (list(self.images(part, batch_size)) for part in (keyframes, request))
        return style_grid(row_seeds, column_seeds, own, mixed, f"fine: {first}-{last}")

    def arithmetic(
        self,
        terms: str | Sequence[Term],
        *,
        space: str | None = None,
        batch_size: int = 16,
        **conditions: Any,
    ) -> ImageGrid:
        """Add and subtract mean latents: a - b + c, where each is the mean over several seeds.

        Args:
            terms: "1,2,3 - 4,5,6 + 7-9", or (factor, seeds) for each term.
            space: latent space to add in. Default: the architecture's best, w before z.
            batch_size: images generated at a time.
            conditions: see `SamplingMethods`; combined like the latents.

        Returns:
            A column for each term with the images of its seeds and, last, of their mean; and the
            result, the last image (Radford et al. 2016, arXiv:1511.06434, figure 7).

        Raises:
            ConfigError: the terms cannot be read, or the model cannot do it.
        """
        parsed = parse_terms(terms)
        keyframes = self.request(
            seeds=[seed for _, seeds in parsed for seed in seeds], **conditions
        )
        request = means_and_sum(keyframes, parsed, self._space(space))
        own, means = (list(self.images(part, batch_size)) for part in (keyframes, request))
        return arithmetic_grid(parsed, own, means)

    def class_grid(
        self,
        num: int | None = None,
        *,
        seeds: Seeds | None = None,
        labels: Sequence[Label] | None = None,
        by: Literal["row", "column"] = "row",
        batch_size: int = 16,
        **conditions: Any,
    ) -> ImageGrid:
        """One row (or column) per class, with the same latents in each.

        Args:
            num: images per class. Default: one per seed, else 8.
            seeds: the latents. Default: 0, 1, 2, ...
            labels: classes, by index or name. Default: all of them.
            by: whether a class is a "row" or a "column".
            batch_size: images generated at a time.
            conditions: see `SamplingMethods`, without labels; the same for all images.

        Raises:
            ConfigError: the model has no classes, or so many that they must be named.
        """
        names = self.class_names
        if not names:
            raise ConfigError(
                "This model was trained without classes, so there is no grid of them. Use "
                "generate, or a model trained on labelled data."
            )
        if labels is None and len(names) > _MAX_CLASSES:
            raise ConfigError(
                f"This model has {len(names)} classes; one picture of all is too large. Name those "
                f"to show, e.g. labels=[{names[0]!r}, {names[1]!r}]."
            )
        if by not in ("row", "column"):
            raise ConfigError(f"by={by!r} is unknown. Use 'row' or 'column'.")
        wanted: Sequence[Label] = range(len(names)) if labels is None else labels
        found = resolve_seeds(8 if num is None and seeds is None else num, seeds)
        pairs = [(label, seed) for label in wanted for seed in found]
        if by == "column":
            pairs = [(label, seed) for seed in found for label in wanted]
        request = self.request(
            seeds=[seed for _, seed in pairs], labels=[label for label, _ in pairs], **conditions
        )
        assert request.label is not None
        shown = request.label.argmax(1).tolist()
        captions = tuple(names[i] for i in (shown[:: len(found)] if by == "row" else shown))
        images = tuple(self.images(request, batch_size))
        if by == "row":
            return ImageGrid(images, len(found), Names(rows=captions))
        return ImageGrid(images, len(wanted), Names(columns=captions[: len(wanted)]))

    def nearest(
        self,
        reference: str | Path,
        *,
        seeds: Seeds | None = None,
        extractor: str | None = "inception_v3",
        extractor_options: Mapping[str, Any] | None = None,
        num_real: int | None = None,
        batch_size: int = 16,
        **conditions: Any,
    ) -> "Neighbors":
        """Samples beside their nearest training images, by pixels and by features.

        Args:
            reference: folder or URL of prepared shards: the training images.
            seeds: one per sample. Default: 0 to 7.
            extractor: the feature extractor; None compares pixels only.
            extractor_options: e.g. {"weights": PATH}.
            num_real: compare with the first of the images only.
            batch_size: images generated at a time.
            conditions: see `SamplingMethods`.

        Raises:
            ConfigError: the request does not fit the model.
            DataError: the images cannot be read.
            MetricError: they have another size, or the extractor cannot be had.
        """
        # Metrics and their libraries are needed here only.
        from ganforge.inference.neighbors import find_neighbors, open_reference

        request = self.request(seeds=range(8) if seeds is None else seeds, **conditions)
        shape = (self.spec.channels, self.spec.height, self.spec.width)
        opened = open_reference(str(reference), shape, num_real, extractor, extractor_options or {})
        return find_neighbors(self.architecture, self.networks, request, opened, batch_size)

    def _space(self, space: str | None) -> str:
        spaces = self.architecture.latent_spaces
        if space is not None and space not in spaces:
            raise ConfigError(
                f"The architecture '{self.info.architecture}' has no latent space {space!r}. It "
                f"has {', '.join(spaces)}."
            )
        return space or spaces[-1]
