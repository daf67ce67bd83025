"""Built-in data sources, registered through the same hook as those of plugins."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from ganforge.interfaces.component import hookimpl

if TYPE_CHECKING:
    from ganforge.interfaces.source import Source


@hookimpl
def ganforge_sources() -> list[type[Source[Any]]]:
    """The sources that come with ganforge."""
    from ganforge.data.sources.clips import FramesSource
    from ganforge.data.sources.folders import (
        FolderSource,
        PairsSource,
        SideBySideSource,
        UnpairedSource,
    )
    from ganforge.data.sources.hf import HfSource
    from ganforge.data.sources.idx import IdxSource
    from ganforge.data.sources.manifest import ManifestSource
    from ganforge.data.sources.video import VideoSource
    from ganforge.data.sources.webdataset import WebDatasetSource
    from ganforge.data.sources.zip import ZipSource

    return [
        FolderSource,
        PairsSource,
        SideBySideSource,
        UnpairedSource,
        FramesSource,
        VideoSource,
        HfSource,
        IdxSource,
        ManifestSource,
        WebDatasetSource,
        ZipSource,
    ]
