"""Chooses a starter and the settings that depend on the data, each with its reason."""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from ganforge.errors import ConfigError, suggest
from ganforge.starters.machine import Speed
from ganforge.starters.survey import Kind, Survey

SAVED_SHARE = 0.9
"""Share of the minutes that trains; the rest goes into pictures and checkpoints."""
_SIDES = (16, 32, 64, 128, 256, 512, 1024)
_SIDE_GPU = 128
_ENLARGED = 1.25
"""Images are enlarged by at most this factor."""
_BRIGHT = 215
_MANY_PASSES = 12
"""Passes over the data from which augmentation pays off. It slows the start: with it, emoji were
worse after 8 passes, better after 13 and much better after 24 (docs/ablations.md, starters)."""
_FASTER = 1.1
_DECAY_FROM = 0.5
_GRID = 16
"""Sides of video are multiples of this, which its networks halve."""
_TRAINED = 0.8
"""Share of each video that is trained on."""
_FEWEST_PICTURES, _MOST_PICTURES = 4, 100
"""Of a run; within these, one a minute."""


@dataclass(frozen=True)
class Penalties:
    """Regularizers on gradients, whose weight follows size and batch.

    gamma is proportional to the number of pixels and inversely to the batch: Karras et al. 2020,
    arXiv:2006.06676, appendix C.

    Attributes:
        names: registered regularizers.
        every: steps between two penalties.
        per_pixel: gamma times batch size, divided by the number of pixels.
        source: where `per_pixel` comes from.
        precision: of the networks in them.
    """

    names: tuple[str, ...]
    every: int
    per_pixel: float
    source: str
    precision: str = "fp32"

    def gamma(self, resolution: int, batch_size: int) -> float:
        """The weight for a size and a batch, with two digits."""
        return float(f"{self.per_pixel * resolution**2 / batch_size:.2g}")


@dataclass(frozen=True)
class Starter:
    """A recipe of `pipelines/starters/`, and what is known of it.

    Attributes:
        file: its packaged name.
        architecture: what it trains.
        kinds: of data that it takes.
        why: why this architecture.
        batch_size: images per step, as in the file.
        cpu_side: largest side, in pixels, that is chosen on a CPU.
        for_gpu: whether it needs a GPU to show anything within an hour.
        penalties: the gradient penalties; None without.
        recognizable_kimg: about when shapes and colors of the data can be seen; None if nobody
            measured it.
        good_kimg: the length of the runs that docs/results.md shows; None if there are none.
        measured: the data of those runs.
    """

    file: str
    architecture: str
    kinds: tuple[Kind, ...]
    why: str
    batch_size: int
    cpu_side: int = 64
    for_gpu: bool = False
    penalties: Penalties | None = None
    recognizable_kimg: float | None = None
    good_kimg: float | None = None
    measured: str = ""


_EMOJI = "3,786 emoji at 64x64"
_PAIR = Penalties(
    ("r1", "r2"), 8, 1.0 * 32 / 64**2, "1 for 64x64 images, batches of 32", precision="mixed"
)
STARTERS = (
    Starter(
        "starters/images", "dcgan", ("images",), "the fastest here to recognizable images",
        32, penalties=_PAIR, recognizable_kimg=30, measured=_EMOJI,
    ),
    Starter(
        "starters/classes", "dcgan", ("classes",), "the fastest here to recognizable images",
        32, penalties=_PAIR, recognizable_kimg=30,
        measured=f"{_EMOJI} without classes",
    ),
    Starter(
        "starters/stylegan2", "stylegan2", ("images", "classes"),
        "more detail than a DCGAN, for hours of a GPU", 32, for_gpu=True,
        penalties=Penalties(("r1",), 16, 0.0002, "0.0002 x pixels / batch"),
    ),
    Starter(
        "starters/pairs", "pix2pix", ("pairs",), "learns from pairs", 4,
    ),
    Starter(
        "starters/domains", "cyclegan", ("domains",), "needs no pairs", 1,
        good_kimg=5, measured=_EMOJI,
    ),
    Starter(
        "starters/text", "gan_int_cls", ("text",), "draws from captions", 64, cpu_side=32,
        good_kimg=480, measured="emoji at 32x32",
    ),
    Starter(
        "starters/video", "vid2vid", ("video",), "keeps successive frames consistent", 1,
    ),
)  # fmt: skip
"""The first that fits is chosen."""


@dataclass(frozen=True)
class Setting:
    """A line of the pipeline file: dotted key, value, and why."""

    key: str
    value: Any
    why: str = ""


def choose_starter(found: Survey, is_gpu: bool, architecture: str | None) -> Starter:
    """The starter for what was found.

    Raises:
        ConfigError: there is no starter with this architecture for them.
    """
    fitting = [starter for starter in STARTERS if found.kind in starter.kinds]
    if architecture is None:
        return next((one for one in fitting if one.for_gpu == is_gpu), fitting[0])
    named = [starter for starter in fitting if starter.architecture == architecture]
    if not named:
        names = [starter.architecture for starter in fitting]
        raise ConfigError(
            f"--architecture {architecture}: `ganforge new` has no recipe with it for "
            f"{found.kind}, only {', '.join(names)}. {suggest(architecture, names)} Write the "
            f"file with one of these and change model.architecture in it, or begin with a recipe "
            f"of pipelines/."
        )
    return named[0]


def choose_resolution(
    found: Survey, starter: Starter, is_gpu: bool, wanted: int | None
) -> tuple[int, str]:
    """The side to train at, and why."""
    if wanted is not None:
        return wanted, "as --resolution says"
    limit, where = (_SIDE_GPU, "GPU") if is_gpu else (starter.cpu_side, "CPU")
    fitting = [side for side in _SIDES if side <= found.side * _ENLARGED] or [_SIDES[0]]
    if fitting[-1] <= limit:
        return fitting[-1], f"the images are about {found.side} pixels wide or high"
    return limit, f"the images allow {fitting[-1]}; twice the side costs four times on this {where}"


def image_size(found: Survey, side: int) -> tuple[int, int]:
    """Height and width at a side: square, but of video the shorter side, with its aspect."""
    if found.kind != "video":
        return side, side
    form = max(found.report.forms, key=found.report.forms.__getitem__)
    shorter = min(form.height, form.width)
    height, width = (
        max(_GRID, round(side * each / shorter / _GRID) * _GRID)
        for each in (form.height, form.width)
    )
    return height, width


def settings(
    found: Survey, starter: Starter, name: str, resolution: tuple[int, str]
) -> Iterator[Setting]:
    """All that depends on the data but the length, in the order of the file."""
    yield Setting("name", name, "of the run: everything goes to runs/" + name)
    yield from _source(found)
    height, width = image_size(found, resolution[0])
    yield Setting("data.resolution", height if height == width else [height, width], resolution[1])
    yield from _data(found)
    yield Setting("model.architecture", starter.architecture, starter.why)
    if starter.penalties:
        yield _regularizers(starter.penalties, resolution[0], starter.batch_size)
    yield Setting("train.batch_size", starter.batch_size, "that of the recipe")


def _source(found: Survey) -> Iterator[Setting]:
    source = dict(found.source)
    if found.kind != "video":
        yield Setting("data.source", source, found.reason)
        return
    begin, end = ({**source, "part": part} for part in ([0, _TRAINED], [_TRAINED, 1]))
    yield Setting("data.source", begin, found.reason)
    yield Setting("data.validation", {"source": end}, "the end of each clip is held out")


def _data(found: Survey) -> Iterator[Setting]:
    report = found.report
    if found.is_gray:
        yield Setting("data.channels", 1, "no image has colors")
    shape = "the largest centered part of this shape" if found.kind == "video" else (
        "the largest centered square; pad shows the whole image"
    )  # fmt: skip
    yield Setting("data.resize", "crop", shape)
    if report.num_transparent:
        is_bright = report.brightness is not None and report.brightness > _BRIGHT
        color, why = ([0, 0, 0], "black: the images are bright") if is_bright else (
            [255, 255, 255], "white"
        )  # fmt: skip
        yield Setting("data.background", color, f"of transparent pixels; {why}")
    if found.kind == "pairs":
        yield Setting("data.validation", {"num_samples": max(1, min(256, found.count // 10))},
                      "held out for pictures and numbers")  # fmt: skip
    is_flipped = not found.is_gray and found.kind not in ("text", "video")
    yield Setting("data.flip", is_flipped, "mirrored images too; not for text, digits or maps")
    if found.kind == "images" and report.class_counts:
        yield Setting("data.use_labels", False, "the classes are too small")
    if report.num_bad:
        yield Setting("data.on_bad_sample", "skip", f"{report.num_bad:,} images cannot be read")


def _regularizers(penalties: Penalties, resolution: int, batch_size: int) -> Setting:
    gamma = penalties.gamma(resolution, batch_size)
    options: dict[str, Any] = {"gamma": gamma, "every": penalties.every}
    if penalties.precision != "fp32":
        options["precision"] = penalties.precision
    return Setting(
        "loss.regularizers",
        [{"name": name, **options} for name in penalties.names],
        f"gamma ~ pixels / batch (arXiv:2006.06676, app. C): {penalties.source}",
    )


def threads(speed: Speed, cores: int) -> Iterator[Setting]:
    """The number of threads, where fewer than all cores are as fast."""
    if speed.threads is not None:
        why = f"{compared(speed)} {cores} when measured; other programs slow it less"
        yield Setting("train.cpu_threads", speed.threads, why)


def compared(speed: Speed) -> str:
    """How fast the chosen number of threads is."""
    gain = two_digits(speed.gain)
    return "about as fast as" if gain < _FASTER else f"{gain:g} times as fast as"


def length(
    found: Survey, starter: Starter, minutes: float, img_per_sec: float, where: str
) -> Iterator[Setting]:
    """How long to train at a measured speed, and what depends on it."""
    kimg = two_digits(img_per_sec * 60 * minutes * SAVED_SHARE / 1000)
    passes = kimg * 1000 / found.count
    if found.kind in ("images", "classes"):
        yield _augmentation(passes, starter)
    unit = "windows of frames" if found.kind == "video" else "images"
    rate = f"{two_digits(img_per_sec):g} {unit}/s"
    yield Setting("train.total_kimg", kimg, f"{minutes:g} minutes at {rate} on {where}")
    yield Setting("train.max_minutes", two_digits(minutes), "raise it together with total_kimg")
    if starter.penalties is None or not starter.for_gpu:
        start, end = two_digits(kimg * _DECAY_FROM), kimg
        yield Setting("train.schedule", {"decay_start_kimg": start, "decay_end_kimg": end},
                      "smaller steps in the second half sharpen the images")  # fmt: skip
    kimg_per_minute = img_per_sec * 60 / 1000
    every = two_digits(min(max(kimg_per_minute, kimg / _MOST_PICTURES), kimg / _FEWEST_PICTURES))
    yield Setting("train.sample_every_kimg", every, "about one picture a minute")
    yield Setting("train.checkpoint_every_kimg", two_digits(every * 5), "the same command resumes")
    yield Setting("train.log_every_kimg", two_digits(max(every / 6, kimg / 1000)))


def _augmentation(passes: float, starter: Starter) -> Setting:
    name = "ada" if starter.for_gpu else "diffaugment"
    if passes > _MANY_PASSES:
        why = f"each image is seen {passes:.0f} times: it keeps the discriminator from winning"
        return Setting("augment", name, why)
    why = f"each image is seen {passes:.2g} times; {name} from some {_MANY_PASSES} times on"
    return Setting("augment", None, why)


def two_digits(value: float) -> float:
    """A number as people write it: two digits, whole where it is large."""
    rounded = float(f"{value:.2g}")
    return int(rounded) if rounded >= 10 or rounded == int(rounded) else rounded
