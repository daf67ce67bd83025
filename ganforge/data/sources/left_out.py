"""What a folder or an archive holds beside the images: hidden, system and other files, counted."""

import logging
import os
import re
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass, field

logger = logging.getLogger(__name__)

SYSTEM_NAMES = frozenset(
    {
        *("__macosx", "network trash folder", "temporary items", "icon\r"),  # macOS
        *("$recycle.bin", "recycler", "recycled", "system volume information"),  # Windows
        *("thumbs.db", "ehthumbs.db", "ehthumbs_vista.db", "desktop.ini", "$extend"),
        *("@eadir", "@tmp", "#recycle", "#snapshot", "@recycle", "@sharebin"),  # Synology, QNAP
        *("@recently-snapshot", "@__thumb", "@syncbin", "lost+found", "lost.dir", "~snapshot"),
        *("@appstore", "@database", "@docker", "@sysbackup", "_vti_cnf", "node_modules"),
    }
)
"""Folders and files that an operating system, a disk station or a program makes, lower case.
Names that begin with a dot are hidden as well: .ipynb_checkpoints, .thumbnails, .git, ._1.png."""
_SYSTEM_NAME = re.compile(
    r"\..(?!.*\.icloud$)|__\w+__$|found\.\d{3}$|@syno|~\$|thumbs\.db:", re.IGNORECASE
)

HIDDEN = "hidden or system files or folders"
FORMAT = "images in formats that cannot be read"
UNFINISHED = "backups or unfinished downloads"
ARCHIVE = "archives"
ARRAY = "arrays"
TABLE = "tables, which this source does not read"
OTHER = "other files"
LINK = "folders that are read under another name"
BROKEN = "broken links"
SPECIAL = "pipes or devices"
LINKED_MEMBER = "links in an archive"
TWICE = "members that a later one of the same name replaces"
CLOUD = "placeholders of files in the cloud"
BESIDE = "further images of a sample"
MORE_FRAMES = "images with further frames or pages, of which the first is used"
_ADVICE = {
    MORE_FRAMES: "to use all, save each as a file",
    BESIDE: "name the extension that is wanted (source.image=EXTENSION)",
    FORMAT: "convert them to PNG or JPEG",
    ARCHIVE: "unpack them, or use them as a source",
    TABLE: "if they hold labels or captions, use the source manifest with the table as its path",
    UNFINISHED: "rename those that are whole",
    BROKEN: "restore their targets",
    LINKED_MEMBER: "to have the images, pack their content: tar --dereference --hard-dereference",
    CLOUD: "download the files first",
}
# Loss of images is worth a warning; sidecar files and what systems leave behind is not.
_HARMLESS = (HIDDEN, OTHER, ARRAY)
_MAX_FOLDERS = 8
_MAX_SUFFIXES = 6


def system_part(name: str) -> str | None:
    """The part of a relative name up to its first hidden or system folder or file, or None."""
    # Not pathlib, which takes half of the time that a listing of many files needs.
    parts = name.split("/")
    for number, part in enumerate(parts, 1):
        if part in (".", ".."):
            continue
        if _SYSTEM_NAME.match(part) or part.casefold() in SYSTEM_NAMES:
            return "/".join(parts[:number])
    return None


@dataclass(frozen=True)
class LeftOutFiles:
    """The files that are left out for one reason."""

    where: str
    reason: str
    count: int
    example: str
    suffixes: Mapping[str, int]
    """Counts by extension, where they tell something."""
    advice: str

    def __str__(self) -> str:
        listed = f" ({_listed(self.suffixes)})" if self.suffixes else ""
        advice = f": {self.advice}" if self.advice else ""
        return f"{self.count} {self.reason}{listed}, e.g. '{self.example}'{advice}"


_collector: ContextVar[list["LeftOut"] | None] = ContextVar("left_out", default=None)


@contextmanager
def collected() -> Iterator[list["LeftOut"]]:
    """The counts of all folders and archives that sources read in the block."""
    found: list[LeftOut] = []
    token = _collector.set(found)
    try:
        yield found
    finally:
        _collector.reset(token)


def more_frames(where: str, count: int, example: str) -> LeftOutFiles:
    """The entry for animations and files of several pages."""
    return LeftOutFiles(where, MORE_FRAMES, count, example, {}, _ADVICE[MORE_FRAMES])


def total(found: Iterable["LeftOut"]) -> dict[str, int]:
    """The number of files by reason."""
    counts: Counter[str] = Counter()
    for each in found:
        counts += each.counts
    return dict(counts)


@dataclass
class LeftOut:
    """Counts what is left out, by reason and by file extension, with an example of each reason."""

    where: str
    counts: Counter[str] = field(default_factory=Counter)
    examples: dict[str, str] = field(default_factory=dict)
    suffixes: dict[str, Counter[str]] = field(default_factory=dict)
    folders: dict[str, Counter[str]] = field(default_factory=dict)
    """Extensions of the files that are left out, by the first folder of their names."""
    useless_folders: str = ""
    """A warning of the folders without a usable image, once `log` has run; may be empty."""
    _hidden: set[str] = field(default_factory=set)

    def add(self, reason: str, name: str) -> None:
        """Count a file. Of a hidden folder only the folder is counted, whatever it holds."""
        if reason == HIDDEN:
            name = system_part(name) or name
            if name in self._hidden:
                return
            self._hidden.add(name)
        self.counts[reason] += 1
        self.examples.setdefault(reason, name)
        suffix = os.path.splitext(name)[1].lower() or "no extension"
        if reason in (FORMAT, OTHER, ARCHIVE):
            self.suffixes.setdefault(reason, Counter())[suffix] += 1
        top, _, rest = name.partition("/")
        if rest and reason not in (HIDDEN, LINK):
            self.folders.setdefault(top, Counter())[suffix] += 1

    def add_folder(self, name: str) -> None:
        """Note a folder at the first level, which may turn out to hold no image."""
        self.folders.setdefault(name, Counter())

    def messages(self, used_folders: set[str]) -> Iterator[tuple[int, str]]:
        """Log levels and sentences: a warning of each possible loss, information on the rest.

        Args:
            used_folders: first folders of the images that are used.
        """
        if useless := self._useless_folders(used_folders):
            yield logging.WARNING, useless
        for level, is_harmless in ((logging.WARNING, False), (logging.INFO, True)):
            reasons = [r for r in self.counts if (r in _HARMLESS) == is_harmless]
            if reasons:
                parts = "; ".join(str(f) for f in self.files() if f.reason in reasons)
                yield level, f"Left out of {self.where}: {parts}."

    def _useless_folders(self, used_folders: set[str]) -> str:
        empty = [name for name in self.folders if name not in used_folders]
        if not empty or not used_folders:
            return ""
        shown = ", ".join(map(self._folder, empty[:_MAX_FOLDERS]))
        more = ", ..." if len(empty) > _MAX_FOLDERS else ""
        return f"Folders of {self.where} without a usable image: {shown}{more}."

    def _folder(self, name: str) -> str:
        suffixes = self.folders[name]
        held = f"holds only {_listed(suffixes)}" if suffixes else "holds no file"
        return f"'{name}' ({held})"

    def files(self) -> list[LeftOutFiles]:
        """What is left out, by reason."""
        return [
            LeftOutFiles(
                self.where,
                reason,
                count,
                self.examples[reason],
                dict(self.suffixes.get(reason, Counter()).most_common()),
                _ADVICE.get(reason, ""),
            )
            for reason, count in self.counts.items()
        ]

    def log(self, used_folders: set[str]) -> None:
        """Log the messages, and hand the counts to `collected`."""
        found = _collector.get()
        if found is not None:
            found.append(self)
        self.useless_folders = self._useless_folders(used_folders)
        for level, text in self.messages(used_folders):
            logger.log(level, "%s", text)


def _listed(suffixes: Mapping[str, int]) -> str:
    common = Counter(suffixes).most_common(_MAX_SUFFIXES)
    more = ", ..." if len(suffixes) > _MAX_SUFFIXES else ""
    return ", ".join(f"{suffix} {count}" for suffix, count in common) + more
