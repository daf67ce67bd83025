"""The walk over the files of a folder: each folder once, in a stable order, nothing skipped."""

import os
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from ganforge.data.sources.left_out import system_part

Kind = Literal["file", "folder", "hidden", "unreadable", "linked", "broken", "special"]
"""file: a regular file, or a link to one. folder: one that is entered. hidden: see `left_out`.
unreadable: a folder that may not be listed. linked: a link to a folder that is read under another
name. broken: a link to nothing. special: a pipe, socket or device, which may block a reader."""


@dataclass(frozen=True)
class Entry:
    """A file or folder, with its name relative to the folder that is walked, with slashes."""

    name: str
    kind: Kind
    error: OSError | None = None


def walk(folder: Path) -> Iterator[Entry]:
    """Everything below a folder.

    Links are followed, after all folders that are no links, so that of a folder and a link to it
    the folder is read. Loops of links end, because no folder is read twice.
    """
    folders = [("", os.path.realpath(folder))]
    links: list[tuple[str, str]] = []
    seen: set[str] = set()
    while folders or links:
        name, real = folders.pop() if folders else links.pop(0)
        if real in seen:
            yield Entry(name, "linked")
            continue
        seen.add(real)
        try:
            found = sorted(os.scandir(folder / name), key=lambda entry: entry.name)
        except OSError as err:
            yield Entry(name, "unreadable", err)
            continue
        if name:
            yield Entry(name, "folder")
        below: list[tuple[str, str]] = []
        for entry in found:
            inside = f"{name}/{entry.name}" if name else entry.name
            if system_part(entry.name):
                yield Entry(inside, "hidden")
            elif not _is_dir(entry):
                yield Entry(inside, _kind(entry))
            elif entry.is_symlink():
                links.append((inside, os.path.realpath(entry.path)))
            else:
                below.append((inside, os.path.join(real, entry.name)))
        folders += reversed(below)


def _is_dir(entry: os.DirEntry[str]) -> bool:
    try:
        return entry.is_dir()
    except OSError:  # a link to itself
        return False


def _kind(entry: os.DirEntry[str]) -> Kind:
    try:
        if entry.is_file():
            return "file"
    except OSError:
        return "broken"
    return "broken" if entry.is_symlink() else "special"
