"""Built-in data sources, registered through the same hook as those of plugins."""

from typing import Any

from ganforge.data.sources.folders import FolderSource, FramesSource, PairsSource, UnpairedSource
from ganforge.data.sources.hf import HfSource
from ganforge.data.sources.idx import IdxSource
from ganforge.data.sources.manifest import ManifestSource
from ganforge.data.sources.webdataset import WebDatasetSource
from ganforge.data.sources.zip import ZipSource
from ganforge.interfaces.component import hookimpl
from ganforge.interfaces.source import Source


@hookimpl
def ganforge_sources() -> list[type[Source[Any]]]:
    """The sources that come with ganforge."""
    of_folders: list[type[Source[Any]]] = [FolderSource, PairsSource, UnpairedSource, FramesSource]
    return [*of_folders, HfSource, IdxSource, ManifestSource, WebDatasetSource, ZipSource]
