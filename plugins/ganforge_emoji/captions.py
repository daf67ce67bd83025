"""Emoji with their names as captions, for text to image.

Images and names are those of the npm packages `emoji-datasource-google` (Noto, Apache-2.0) and
`emoji-datasource-twitter` (Twemoji, CC-BY-4.0), version 16.0.0: 64 x 64 pixels with transparency.
"""

import json
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any, Literal

from ganforge.api import ComponentOptions, DataError, Field, Sample, Source
from ganforge_emoji.domains import image_folder, part_of, read_on_white

# Unicode's names of the five skin tones, by code point.
_TONES = {
    "1F3FB": "light skin tone",
    "1F3FC": "medium light skin tone",
    "1F3FD": "medium skin tone",
    "1F3FE": "medium dark skin tone",
    "1F3FF": "dark skin tone",
}


class EmojiCaptionsConfig(ComponentOptions):
    """Options of `emoji_captions`."""

    google: str | None = Field(
        None, description="Folder of the npm package emoji-datasource-google."
    )
    twitter: str | None = Field(
        None, description="Folder of the npm package emoji-datasource-twitter."
    )
    split: Literal["train", "test"] = Field(
        "train", description="test: the emoji whose names no training caption has."
    )
    test_percent: int = Field(10, gt=0, lt=100, description="Emoji held out, in percent.")


@dataclass(frozen=True)
class Emoji:
    """One drawing: the file name of its images, its name and its category."""

    file_name: str
    base: str
    name: str
    kind: str

    @property
    def captions(self) -> list[str]:
        """The name, and the name with the kind."""
        return [self.name, f"{self.name}, {self.kind}"]


class EmojiCaptions(Source[EmojiCaptionsConfig]):
    """Emoji of one or two artists, each with its name as the caption."""

    name, Config = "emoji_captions", EmojiCaptionsConfig

    def samples(self, stream: str = "main") -> Iterator[Sample]:
        """Image and captions of every emoji of the split, artist by artist."""
        for vendor, emoji, file in self._drawings:
            fields: dict[str, Any] = {"image": read_on_white(file), "caption": emoji.captions}
            yield Sample(f"{vendor}-{emoji.file_name.removesuffix('.png')}", fields)

    def num_samples(self) -> int:
        """Images of the split."""
        return len(self._drawings)

    @cached_property
    def _drawings(self) -> list[tuple[str, Emoji, Path]]:
        """Vendor, emoji and file of every image of the split.

        Raises:
            DataError: no package is given, or one is not what it should be.
        """
        given = {"google": self.config.google, "twitter": self.config.twitter}
        packages = {vendor: Path(package) for vendor, package in given.items() if package}
        if not packages:
            raise DataError(
                "data.source 'emoji_captions' has no images: set google, twitter or both. Get them "
                "with pipelines/quick/get_emoji.sh."
            )
        found = []
        for vendor, package in packages.items():
            folder = image_folder(package, vendor)
            for emoji in read_names(package):
                held_out = part_of(emoji.base, self.config.test_percent) == "test"
                file = folder / emoji.file_name
                if held_out == (self.config.split == "test") and file.is_file():
                    found.append((vendor, emoji, file))
        return found


def read_names(package: Path) -> list[Emoji]:
    """The emoji of a package, each skin tone by itself, in the package's order.

    Raises:
        DataError: its emoji.json is missing or damaged.
    """
    path = package / "emoji.json"
    try:
        entries = json.loads(path.read_text(encoding="utf-8"))
        return [emoji for entry in entries for emoji in _variants(entry)]
    except (OSError, ValueError, KeyError, TypeError) as err:
        raise DataError(
            f"{path} cannot be read as a list of emoji ({type(err).__name__}: {err}). Install the "
            f"npm package again: pipelines/quick/get_emoji.sh."
        ) from err


def _variants(entry: dict[str, Any]) -> Iterator[Emoji]:
    base, name = entry["image"], " ".join(entry["name"].lower().split())
    kind = entry["subcategory"].replace("-", " ")
    yield Emoji(base, base, name, kind)
    for tones, variant in entry.get("skin_variations", {}).items():
        # Two people of two tones have no short description.
        if tones in _TONES:
            yield Emoji(variant["image"], base, f"{name}, {_TONES[tones]}", kind)
