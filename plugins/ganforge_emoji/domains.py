"""Noto and Twemoji, the same emoji drawn by two vendors, as two domains or as pairs.

The images are those of the npm packages `emoji-datasource-google` (Noto, Apache-2.0) and
`emoji-datasource-twitter` (Twemoji, CC-BY-4.0), version 16.0.0: 64 x 64 pixels with transparency.
"""

import hashlib
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Literal

from PIL import Image

from ganforge.api import ComponentOptions, DataError, Field, Sample, Source

VENDORS = {"source": "google", "target": "twitter"}
# Code points by which one drawing differs from another: skin tones, man, woman and person.
_VARIANTS = frozenset(
    {"1f3fb", "1f3fc", "1f3fd", "1f3fe", "1f3ff"}
    | {"1f468", "1f469", "1f9d1", "2640", "2642", "fe0f", "200d"}
)
Part = Literal["source", "target", "test"]


class EmojiDomainsConfig(ComponentOptions):
    """Options of `emoji_domains`."""

    google: str = Field(description="Folder of the npm package emoji-datasource-google.")
    twitter: str = Field(description="Folder of the npm package emoji-datasource-twitter.")
    split: Literal["train", "pairs", "test"] = Field(
        "train",
        description="train: two streams that share no emoji. pairs: the emoji of both, as pairs. "
        "test: held-out emoji as pairs, to judge translations by.",
    )
    test_percent: int = Field(10, gt=0, lt=100, description="Emoji held out, in percent.")


def drawing_of(file_name: str) -> str:
    """What the variants of a drawing have in common: its code points but skin tone and gender.

    The man, the woman and the person of one drawing, in any skin tone, are almost the same picture
    and have almost the same name, so that training and test data must not share them.

    Args:
        file_name: code points joined by "-", e.g. "1f469-1f3fd-200d-1f33e.png".
    """
    parts = file_name.removesuffix(".png").split("-")
    return "-".join(part for part in parts if part not in _VARIANTS) or parts[0]


def part_of(file_name: str, test_percent: int) -> Part:
    """The part that an image belongs to: a function of its drawing alone."""
    digest = hashlib.sha256(drawing_of(file_name).encode()).digest()
    if int.from_bytes(digest[:8], "big") % 100 < test_percent:
        return "test"
    return "source" if digest[8] % 2 else "target"


def image_folder(package: Path, vendor: str) -> Path:
    """Where a package keeps its images.

    Raises:
        DataError: it has none.
    """
    folder = package / "img" / vendor / "64"
    if not folder.is_dir():
        raise DataError(
            f"data.source.{vendor}={package} holds no folder img/{vendor}/64. Get the images "
            f"with pipelines/quick/get_emoji.sh, or with `npm install --ignore-scripts "
            f"emoji-datasource-{vendor}@16.0.0`, and give the package's folder."
        )
    return folder


def read_on_white(file: Path) -> Image.Image:
    """An RGB image whose transparent pixels show white.

    Raises:
        DataError: the file is not an image.
    """
    try:
        with Image.open(file) as opened:
            drawn = opened.convert("RGBA")
    except OSError as err:
        raise DataError(
            f"{file} cannot be read as an image: {err}. Install the npm package again."
        ) from err
    paper = Image.new("RGBA", drawn.size, (255, 255, 255, 255))
    return Image.alpha_composite(paper, drawn).convert("RGB")


class EmojiDomains(Source[EmojiDomainsConfig]):
    """Noto emoji as the source domain and Twemoji as the target, with or without pairs."""

    name, Config = "emoji_domains", EmojiDomainsConfig

    def streams(self) -> Sequence[str]:
        """Two that share no emoji for training without pairs; one of pairs otherwise."""
        return ("source", "target") if self.config.split == "train" else ("main",)

    def samples(self, stream: str = "main") -> Iterator[Sample]:
        """Images of one domain by name, or pairs."""
        domains = [stream] if self.config.split == "train" else ["source", "target"]
        for name in self._names(stream):
            fields = {domain: read_on_white(self._folder(domain) / name) for domain in domains}
            yield Sample(name.removesuffix(".png"), fields)

    def num_samples(self) -> int:
        """Images or pairs over all streams."""
        return sum(len(self._names(stream)) for stream in self.streams())

    def _folder(self, domain: str) -> Path:
        vendor = VENDORS[domain]
        return image_folder(Path(getattr(self.config, vendor)), vendor)

    def _names(self, stream: str) -> list[str]:
        """File names of a stream, sorted; only emoji that both vendors have."""
        both = [{file.name for file in self._folder(d).glob("*.png")} for d in VENDORS]
        config = self.config
        parts = {"train": {stream}, "pairs": {"source", "target"}, "test": {"test"}}[config.split]
        percent = config.test_percent
        names = sorted(name for name in both[0] & both[1] if part_of(name, percent) in parts)
        if not names:
            raise DataError(
                f"data.source.google={config.google} and data.source.twitter={config.twitter} "
                f"have no emoji in common for {' and '.join(sorted(parts))} of split "
                f"'{config.split}'. Install both packages in the same version, 16.0.0."
            )
        return names
