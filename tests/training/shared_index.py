"""How often ranks read an index and list shards; run by ranks_worker.py."""

import builtins
import os

import numpy as np

from ganforge.config.models import DataConfig, PipelineConfig
from ganforge.data.loader import RealImages, SlotLoader
from ganforge.data.shards.index import DatasetIndex, FieldSchema, load_index
from ganforge.data.shards.writer import EncodedSample, write_stream
from ganforge.errors import ShardError
from ganforge.imaging.codec import encode_pixels
from ganforge.interfaces.spec import ImageSpec
from ganforge.interfaces.stage import RunContext
from ganforge.pipeline.run import check_stages
from ganforge.registry.components import resolve
from ganforge.training.fields import read_once

TRANSLATOR = {
    "architecture": "cyclegan", "generator_width": 4, "num_blocks": 1, "discriminator_width": 4,
    "discriminator_layers": 1,
}  # fmt: skip


def write_shards(folder, count):
    """A data set of `count` shards with one black image each."""
    folder.mkdir()
    image = encode_pixels(np.zeros((16, 16, 3), np.uint8))
    samples = (EncodedSample(f"{n:05d}", {"image.png": image}) for n in range(count))
    schema = {"image": FieldSchema(kind="image", height=16, width=16, channels=3)}
    shards = write_stream(folder, "main", samples, ["image"], 1)
    index = DatasetIndex.build(ImageSpec(16, 16, 3), {"main": shards}, schema)
    (folder / "index.json").write_text(index.to_json())


class Counted:
    """Counts the reads of index.json and the lists of a folder."""

    def __init__(self, folder):
        self.folder, self.opened, self.listed = str(folder), 0, 0

    def __enter__(self):
        self._open, self._scandir = builtins.open, os.scandir
        builtins.open, os.scandir = self.open, self.scandir
        return self

    def __exit__(self, *exc_info):
        builtins.open, os.scandir = self._open, self._scandir

    def open(self, file, *args, **kwargs):
        self.opened += str(file) == f"{self.folder}/index.json"
        return self._open(file, *args, **kwargs)

    def scandir(self, path="."):
        self.listed += str(path) == self.folder
        return self._scandir(path)


def start(location, rank):
    """What a start of training does with its data."""
    config = DataConfig(workers=0)
    for _ in range(2):
        load_index(location)
    RealImages(config, location)
    local = range(rank, rank + 1)
    options = {"num_slots": 2, "local_slots": local, "micro_batch": 1}
    loader = SlotLoader(config, location, fields=["image"], seed=0, **options)
    next(iter(loader))
    loader.close()


def check(folder):
    """What a start of a pipeline does with its data before the first stage."""
    config = PipelineConfig(
        name="counted",
        stages=["train", "evaluate"],
        data={"shards": str(folder), "derive": "gray"},
        model=TRANSLATOR,
        train={"batch_size": 4, "trackers": []},
        evaluate={"metrics": ["psnr"], "num_images": 20, "every_kimg": 1},
    )
    context = RunContext(config, folder.parent / "counted", resolve(config))
    check_stages(context, [choice.built for choice in context.components.stages])


def count_reads(runtime, folder, num_shards=20):
    """Reads of the index and lists of the shards on this rank, and what a missing shard says."""
    folder = folder / "shards"
    if runtime.is_main:
        write_shards(folder, num_shards)
    runtime.any_rank(False)
    with Counted(folder) as counted, read_once(runtime, str(folder)):
        start(str(folder), runtime.rank)
    with Counted(folder) as before:
        check(folder)
    runtime.any_rank(False)
    if runtime.is_main:
        next(folder.glob("*.tar")).unlink()
    try:
        with read_once(runtime, str(folder)):
            fault = ""
    except ShardError as err:
        fault = str(err)
    reads = {"start": [counted.opened, counted.listed], "check": [before.opened, before.listed]}
    return {**reads, "fault": fault}
