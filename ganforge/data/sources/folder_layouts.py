"""Names of folders that are no classes: splits, parts of samples, sizes, dates, counters."""

import re
from collections.abc import Sequence

_SPLITS = frozenset(
    {"train", "training", "trainset", "val", "valid", "validation", "valset", "dev", "holdout"}
    | {"test", "testing", "testset", "eval", "evaluation", "unlabeled", "unlabelled", "extra"}
)
_FILLERS = frozenset({"a", "b", "x", "y", "set", "data", "image", "images", "img", "imgs"})
_PARTS = frozenset(
    {"image", "images", "img", "imgs", "jpegimages", "inthewildimages", "original", "originals"}
    | {"thumb", "thumbs", "thumbnail", "thumbnails", "preview", "previews", "cache", "cropped"}
    | {"mask", "masks", "label", "labels", "annotation", "annotations", "gt", "groundtruth"}
    | {"segmentation", "segmentations", "segmentationclass", "segmentationobject", "instances"}
    | {"depth", "edges", "normals", "source", "target", "input", "inputs", "output", "outputs"}
    | {"lr", "hr", "lowres", "highres"}
)
_COUNTED = frozenset(
    {"part", "batch", "databatch", "chunk", "shard", "split", "fold", "subset", "disk", "disc"}
    | {"volume", "vol", "folder", "newfolder", "untitledfolder"}
)
_SIZE = re.compile(r"\d+ ?(x ?\d+|px)")
_DATE = re.compile(r"(19|20)\d\d([-_. ]?(0[1-9]|1[0-2])([-_. ]?[0-3]\d)?)?")
_CAMERA = re.compile(r"[1-9]\d\d(?P<maker>(?=.*[A-Z])[A-Z0-9_]{5})")
"""Folders of a camera: https://en.wikipedia.org/wiki/Design_rule_for_Camera_File_system."""


def layout_of(names: Sequence[str]) -> str | None:
    """What the folders are, if all of them are something else than classes: "splits", ...

    Args:
        names: of two or more folders beside each other.
    """
    if _are_splits(names):
        return "splits"
    letters = {_letters(name) for name in names}
    if letters <= _PARTS:
        return "parts of one data set, such as images and masks"
    if len(letters) == 1 and letters <= _COUNTED:
        return "counted parts of one data set"
    if all(_SIZE.fullmatch(name.casefold()) for name in names):
        return "sizes"
    if all(map(_DATE.fullmatch, names)):
        return "dates"
    makers = {found and found["maker"] for found in map(_CAMERA.fullmatch, names)}
    return "folders of a camera" if len(makers) == 1 and None not in makers else None


def _are_splits(names: Sequence[str]) -> bool:
    """Whether each name has the word of a split, and all are alike but for it."""
    rests = set()
    for name in names:
        words = [word.casefold() for word in re.findall(r"[A-Z]?[a-z]+|[A-Z]+", name)]
        if not _SPLITS.intersection(words):
            return False
        rests.add(tuple(word for word in words if word not in _SPLITS | _FILLERS))
    return len(rests) == 1


def _letters(name: str) -> str:
    """The name without numbers, sizes, spaces and signs."""
    return re.sub(r"\d+(x\d+)?|[\W_]+", "", name.casefold())
