import itertools
import os
import pickle
import subprocess
import sys

import numpy as np
import pytest
import torch

from ganforge.config.models import DataConfig
from ganforge.data.loader import RealImages, SlotLoader
from ganforge.data.order import StreamOrder
from ganforge.data.shards.clip import pack_clip
from ganforge.data.shards.index import DatasetIndex, FieldSchema
from ganforge.data.shards.writer import EncodedSample, write_stream
from ganforge.errors import DataError, ShardError
from ganforge.imaging.codec import encode_png
from ganforge.interfaces.spec import ImageSpec

IMAGE = FieldSchema(kind="image", height=8, width=8, channels=3)


@pytest.fixture
def load(load):
    """The first steps of two slots with images and labels, unless told otherwise."""

    def first_steps(location, steps, *, config=None, **options):
        defaults = {"fields": ["image", "label"], "num_slots": 2, "micro_batch": 3}
        return load(location, steps, config, **{**defaults, **options})

    return first_steps


def assert_same(first, second):
    assert len(first) == len(second)
    for a, b in zip(first, second, strict=True):
        for slot_a, slot_b in zip(a, b, strict=True):
            assert slot_a.keys() == slot_b.keys()
            for name in slot_a:
                assert torch.equal(slot_a[name], slot_b[name])


def test_loader_gives_tensors_of_the_contract(dataset, load):
    batch = load(dataset, 1)[0][0]
    assert batch["image"].shape == (3, 3, 8, 8)
    assert batch["image"].dtype == torch.uint8
    assert batch["image"].is_contiguous(memory_format=torch.channels_last)
    assert batch["label"].shape == (3,)
    assert batch["label"].dtype == torch.int64


def test_loader_opens_no_more_files_from_epoch_to_epoch(dataset):
    # tests/benchmarks/bench_loader_load.py: the same for 8 workers and 2,000 shards.
    loader = SlotLoader(
        DataConfig(workers=0, shuffle_window=4),
        dataset,
        fields=["image"],
        seed=0,
        num_slots=2,
        local_slots=range(2),
        micro_batch=5,
    )
    batches, files = iter(loader), []
    for _ in range(12):  # an epoch takes 2
        next(batches)
        files.append(len(os.listdir("/proc/self/fd")))
    loader.close()
    assert max(files[4:]) <= max(files[:4])


def test_loader_pixels_and_labels_belong_together(dataset, helpers, load):
    for step in load(dataset, 7):
        for batch in step:
            numbers = helpers.number_of(batch["image"])
            assert batch["label"].tolist() == [n % 4 for n in numbers]
            expected = np.stack([helpers.numbered_image(n) for n in numbers])
            np.testing.assert_array_equal(batch["image"].permute(0, 2, 3, 1), expected)


def test_loader_shows_each_sample_once_per_epoch(dataset, helpers, load):
    steps = load(dataset, 4, num_slots=4, micro_batch=5)
    for step in steps:
        shown = sorted(n for batch in step for n in helpers.number_of(batch["image"]))
        assert shown == list(range(20))


def test_loader_step_and_slot_read_the_positions_of_their_lane(dataset, helpers, load):
    config = DataConfig(workers=0, shuffle_window=4)
    order = StreamOrder([8, 8, 4], 2, 4, seed=7)
    for step, batches in enumerate(load(dataset, 8, config=config, seed=7)):
        for slot, batch in enumerate(batches):
            places = order.locate(slot, 3 * step, 3)
            assert helpers.number_of(batch["image"]) == [8 * s + i for s, i in places.tolist()]


@pytest.mark.parametrize("workers", [1, 2])
def test_loader_with_any_number_of_workers_gives_the_same_batches(dataset, workers, load):
    config = DataConfig(workers=workers, flip=True)
    assert_same(
        load(dataset, 6, config=config), load(dataset, 6, config=DataConfig(workers=0, flip=True))
    )


CROPPED_CLIPS = {
    "resolution": 5,
    "crop": {"from": 8, "scale": [1, 2]},
    "clip": {
        "num_frames": {"from": 2, "to": 4, "over_kimg": 0.03, "shape": "linear"},
        "stride": 2,
    },
    "flip": True,
    "shuffle_window": 4,
}


def write_clip_pairs(folder, helpers, count=10):
    """Clips of 9 frames with a source that holds the same pixels, and a box per frame."""

    def member(number):
        frames = [helpers.numbered_image(20 * number + n) for n in range(9)]
        clip = pack_clip([helpers.file_bytes(frame) for frame in frames])
        boxes = helpers.npy_bytes([[20 * number + n, 0, 8, 8] for n in range(9)])
        return {"frames.clip": clip, "source.clip": clip, "box.npy": boxes}

    clip = IMAGE.model_copy(update={"is_clip": True, "num_frames": 9})
    box = FieldSchema(kind="vector", is_clip=True, size=4, num_frames=9)
    schema = {"frames": clip, "source": clip, "box": box}
    return helpers.write_custom(folder, [member(n) for n in range(count)], schema)


def test_loader_of_cropped_clip_pairs_is_independent_of_workers_ranks_and_start(
    tmp_path, helpers, load
):
    location = write_clip_pairs(tmp_path / "s", helpers)
    options = {"fields": ["source", "frames", "box"], "num_slots": 2, "micro_batch": 3}
    config = DataConfig(workers=0, **CROPPED_CLIPS)
    whole = load(location, 6, config=config, **options)
    assert [len(step[0]["frames"][0]) for step in whole] == [2, 2, 3, 3, 4, 4]
    for step, batches in enumerate(whole):
        for batch in batches:
            assert torch.equal(batch["source"], batch["frames"])
            red = batch["frames"][:, :, 0, 2, 2].float()
            if step < 5:
                assert torch.equal(red, batch["box"][..., 0])
    for workers in (1, 2):
        config = DataConfig(workers=workers, **CROPPED_CLIPS)
        assert_same(load(location, 6, config=config, **options), whole)
        assert_same(load(location, 4, config=config, start_step=2, **options), whole[2:])
    for rank in range(2):
        part = load(location, 6, config=config, local_slots=range(rank, rank + 1), **options)
        assert_same(part, [step[rank : rank + 1] for step in whole])


def test_loader_without_randomness_shows_each_sample_always_alike(tmp_path, helpers, load):
    location = write_clip_pairs(tmp_path / "s", helpers)
    options = {"fields": ["frames"], "num_slots": 1, "micro_batch": 10, "randomize": False}
    shown = {}
    for (batch,) in load(location, 3, config=DataConfig(workers=0, **CROPPED_CLIPS), **options):
        for frames in batch["frames"]:
            first = int(frames[0, 0, 0, 0])
            assert torch.equal(shown.setdefault(first, frames), frames)
            assert frames[:, 0, 0, 0].tolist() == [first, first + 2, first + 4, first + 6]
            assert frames[0, 2, 0].tolist() == [255, 255, 255, 0, 0]
    assert sorted(shown) == list(range(0, 200, 20))


@pytest.mark.parametrize("start", [1, 4, 11, 1000])
def test_loader_resumed_at_any_step_continues_the_run(dataset, start, load):
    reader = DataConfig(workers=0, flip=True, shuffle_window=4)
    if start < 100:
        whole = load(dataset, start + 3, config=reader)[start:]
    else:
        whole = load(dataset, 4, config=reader, start_step=start - 1)[1:]
    assert_same(load(dataset, 3, config=reader, start_step=start), whole)


def test_loader_split_over_ranks_gives_the_same_slots(dataset, load):
    whole = load(dataset, 5, num_slots=4)
    for ranks in (2, 4):
        share = 4 // ranks
        for rank in range(ranks):
            slots = range(rank * share, (rank + 1) * share)
            part = load(dataset, 5, num_slots=4, local_slots=slots)
            assert_same(part, [step[slots.start : slots.stop] for step in whole])


def test_loader_with_another_seed_gives_another_order(dataset, helpers, load):
    def numbers(seed):
        return [helpers.number_of(b["image"]) for step in load(dataset, 3, seed=seed) for b in step]

    assert numbers(0) != numbers(1)


def test_loader_flips_half_of_the_images_and_nothing_else(dataset, helpers, load):
    plain = load(dataset, 60)
    flipped = load(dataset, 60, config=DataConfig(workers=0, flip=True))
    count = total = 0
    for step, other in zip(plain, flipped, strict=True):
        for batch, mirrored in zip(step, other, strict=True):
            assert torch.equal(batch["label"], mirrored["label"])
            for a, b in zip(batch["image"], mirrored["image"], strict=True):
                assert torch.equal(b, a) or torch.equal(b, a.flip(-1))
                count += not torch.equal(b, a)
                total += 1
    assert 0.4 < count / total < 0.6


def test_loader_leaves_the_global_random_state_alone(dataset, load):
    torch.manual_seed(0)
    before = torch.get_rng_state()
    load(dataset, 2)
    load(dataset, 2, config=DataConfig(workers=1))
    assert torch.equal(torch.get_rng_state(), before)


def test_loader_started_twice_begins_again(dataset, slot_loader):
    loader = slot_loader(dataset)
    assert_same([next(iter(loader))], [next(iter(loader))])
    loader.close()


def test_loader_close_stops_the_workers(dataset, slot_loader):
    import multiprocessing

    loader = slot_loader(dataset, DataConfig(workers=2))
    steps = iter(loader)
    next(steps)
    assert len(multiprocessing.active_children()) == 2
    loader.close()
    assert not multiprocessing.active_children()


def test_loader_dropped_without_close_stops_the_workers(dataset, slot_loader):
    import multiprocessing

    steps = iter(slot_loader(dataset, DataConfig(workers=1)))
    next(steps)
    assert multiprocessing.active_children()
    del steps
    assert not multiprocessing.active_children()


def test_loader_that_raises_stops_the_workers_though_the_error_is_kept(
    dataset, helpers, slot_loader
):
    import multiprocessing

    helpers.damage(dataset, 10)
    steps = iter(slot_loader(dataset, DataConfig(workers=1), micro_batch=20))
    with pytest.raises(ShardError) as kept:
        next(steps)
    assert kept.value.__traceback__ is not None
    assert not multiprocessing.active_children()


LEFT_OPEN = """
import sys
from ganforge.config.models import DataConfig
from ganforge.data.loader import SlotLoader

loader = SlotLoader(DataConfig(workers=1), sys.argv[1], fields=["image"], seed=0, num_slots=1,
                    local_slots=range(1), micro_batch=2)
steps = iter(loader)
next(steps)
if len(sys.argv) > 2:
    raise SystemExit(3)
"""


@pytest.mark.parametrize(("extra", "code"), [([], 0), (["fail"], 3)])
def test_program_that_leaves_a_loader_open_ends(dataset, extra, code):
    command = [sys.executable, "-c", LEFT_OPEN, str(dataset), *extra]

    assert subprocess.run(command, timeout=120, check=False).returncode == code


def test_loader_with_more_slots_than_samples_is_refused(dataset, load):
    with pytest.raises(DataError, match="has 20 samples in stream 'main', fewer than the 21 slots"):
        load(dataset, 1, num_slots=21, local_slots=range(1))


@pytest.mark.parametrize("workers", [0, 2])
def test_loader_that_skips_takes_the_neighbor_and_counts(
    dataset, workers, helpers, caplog, slot_loader
):
    helpers.damage(dataset, 10)
    loader = slot_loader(
        dataset,
        DataConfig(workers=workers, on_bad_sample="skip"),
        fields=["image", "label"],
        micro_batch=20,
    )
    for (batch,) in itertools.islice(iter(loader), 3):
        numbers = helpers.number_of(batch["image"])
        assert sorted(numbers) == [*range(10), 11, *range(11, 20)]
        assert batch["label"].tolist() == [n % 4 for n in numbers]
    assert loader.num_bad_samples == 1
    assert caplog.text.count("Skipped bad sample") == 1
    loader.close()


def test_loader_that_skips_stops_at_the_cap(dataset, helpers, load):
    for number in (3, 10, 17):
        helpers.damage(dataset, number)
    config = DataConfig(workers=0, on_bad_sample="skip", max_bad_samples=2)
    with pytest.raises(DataError, match="More than data.max_bad_samples=2.*ganforge data verify"):
        load(dataset, 20, config=config)


def write_unpaired(folder, helpers, counts):
    folder.mkdir()
    schema, streams = {}, {}
    for stream, count in counts.items():
        samples = (
            EncodedSample(
                f"{n:03d}", {f"{stream}.png": helpers.file_bytes(helpers.numbered_image(n))}
            )
            for n in range(count)
        )
        streams[stream] = write_stream(folder, stream, samples, (stream,), 4)
        schema[stream] = IMAGE.model_copy(update={"stream": stream})
    index = DatasetIndex.build(ImageSpec(8, 8, 3, source_channels=3), streams, schema)
    (folder / "index.json").write_text(index.to_json())
    return str(folder)


def test_loader_merges_unpaired_streams_each_with_its_own_order(tmp_path, helpers, load):
    location = write_unpaired(tmp_path / "s", helpers, {"source": 12, "target": 12})
    steps = load(location, 4, fields=["source", "target"], num_slots=1, micro_batch=12)
    for (batch,) in steps:
        source, target = (helpers.number_of(batch[name]) for name in ("source", "target"))
        assert sorted(source) == sorted(target) == list(range(12))
        assert source != target


def test_loader_crops_unpaired_streams_each_by_itself(tmp_path, helpers, load):
    counts = {"source": 12, "target": 12}
    location = write_unpaired(tmp_path / "s", helpers, counts)
    config = DataConfig(workers=0, resolution=4, crop={"from": 8})
    options = {"fields": ["source", "target"], "num_slots": 1, "micro_batch": 64}
    (batch,) = load(location, 1, config=config, **options)[0]
    widths = [(batch[name][:, 2, 0] == 255).sum(dim=1) for name in ("source", "target")]
    assert set(widths[0].tolist()) == set(widths[1].tolist()) == {0, 1, 2, 3, 4}
    assert not torch.equal(*widths)


def test_loader_of_images_smaller_than_the_crops_is_refused(dataset, load):
    config = DataConfig(workers=0, resolution=16, crop={"from": 20})
    with pytest.raises(DataError, match="'image' at .* is stored at 8x8, and cannot be cropped"):
        load(dataset, 1, config=config)


def test_loader_of_clips_shorter_than_the_windows_is_refused(tmp_path, helpers, load):
    location = write_clip_pairs(tmp_path / "s", helpers)
    config = DataConfig(
        workers=0, clip={"num_frames": 5, "stride": {"from": 1, "to": 3, "over_kimg": 9}}
    )
    with pytest.raises(DataError, match="span up to 13 frames, but the shortest clip .* has 9"):
        load(location, 1, config=config, fields=["frames"])


def test_loader_of_unequal_streams_counts_each_by_itself(tmp_path, helpers, load):
    location = write_unpaired(tmp_path / "s", helpers, {"source": 4, "target": 8})
    (batch,) = load(location, 1, fields=["source", "target"], num_slots=1, micro_batch=8)[0]
    assert sorted(helpers.number_of(batch["source"])) == sorted([*range(4)] * 2)
    assert sorted(helpers.number_of(batch["target"])) == list(range(8))


def test_loader_when_a_worker_dies_says_what_to_do(dataset, monkeypatch, load):
    import os

    from ganforge.data.shards import reader

    monkeypatch.setattr(reader.SampleReader, "batch", lambda *args: os._exit(3))
    with pytest.raises(DataError, match="reader process .* died .*data.workers"):
        load(dataset, 1, config=DataConfig(workers=1))


def test_real_images_are_the_first_in_index_order(dataset, helpers):
    real = RealImages(DataConfig(), dataset, num_samples=12)
    assert len(real) == 12
    assert real[0].shape == (3, 8, 8)
    assert real[0].dtype == torch.uint8
    assert helpers.number_of(real.batch(range(12))) == list(range(12))
    assert helpers.number_of(real[11][None]) == [11]
    assert real.samples([0, 5, 9], ["label"])["label"].tolist() == [0, 1, 1]
    with pytest.raises(IndexError):
        real[12]
    assert len(pickle.loads(pickle.dumps(real))) == 12
    real.close()


def test_real_images_are_not_flipped(dataset, helpers):
    real = RealImages(DataConfig(flip=True), dataset)
    for number in range(20):
        np.testing.assert_array_equal(real[number].permute(1, 2, 0), helpers.numbered_image(number))


def test_real_images_keep_the_ids_of_label_maps(tmp_path, helpers):
    ids = np.full((8, 8, 1), 700, dtype=np.uint16)
    schema = {"source": FieldSchema(kind="labels", height=8, width=8, bit_depth=16, size=3)}
    members = [{"source.png": encode_png(ids)}]
    location = helpers.write_custom(tmp_path / "s", members, schema)
    assert (RealImages(DataConfig(), location, field="source")[0] == 700).all()


def test_real_images_of_16_bits_are_whole_in_samples_and_bytes_in_a_batch(tmp_path, helpers):
    pixels = np.full((8, 8, 3), 1000, dtype=np.uint16)
    form = {"height": 8, "width": 8, "channels": 3, "bit_depth": 16, "max_value": 65535}
    schema = {"image": FieldSchema(kind="image", **form)}
    members = [{"image.png": encode_png(pixels)}]
    real = RealImages(DataConfig(), helpers.write_custom(tmp_path / "s", members, schema))
    assert (real.samples([0], ["image"])["image"] == 1000).all()
    assert real[0].dtype == torch.uint8 and (real[0] == round(1000 / 257)).all()


def test_real_images_show_the_middle_and_the_window_at_the_end_of_training(tmp_path, helpers):
    location = write_clip_pairs(tmp_path / "s", helpers)
    real = RealImages(DataConfig(**CROPPED_CLIPS), location, field="frames")
    assert real.size == (5, 5)
    assert real[3].shape == (4, 3, 5, 5)
    assert real[3][:, 0, 0, 0].tolist() == [60, 62, 64, 66]
    assert torch.equal(real.batch([3, 4])[0], real[3])
    whole = RealImages(DataConfig(), location, field="frames")
    assert torch.equal(whole[3][:7:2, :, 1:6, 1:6], real[3])


def test_more_real_images_than_there_are_is_refused(dataset):
    with pytest.raises(DataError, match="21 real images are needed.*has 20.*evaluate.num_real"):
        RealImages(DataConfig(), dataset, num_samples=21)


def test_real_images_without_labels_say_so(tmp_path, helpers):
    real = RealImages(DataConfig(), helpers.write_dataset(tmp_path / "s", classes=0))
    with pytest.raises(DataError, match="Labels are needed"):
        real.samples([0], ["label"])


def test_real_images_of_a_text_field_are_refused(tmp_path, helpers):
    members = [{"caption.txt": b"a cat"}]
    schema = {"caption": FieldSchema(kind="caption")}
    location = helpers.write_custom(tmp_path / "s", members, schema)
    with pytest.raises(DataError, match="'caption' holds text, not images"):
        RealImages(DataConfig(), location, field="caption")[0]


def test_real_images_with_a_bad_sample_warn_when_skipping(dataset, helpers, caplog):
    helpers.damage(dataset, 0)
    RealImages(DataConfig(on_bad_sample="skip"), dataset)[0]
    assert "A neighbor stands in for a bad sample: Sample '00000'" in caplog.text


@pytest.mark.gpu
@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a CUDA device")
@pytest.mark.parametrize("workers", [0, 1])
def test_loader_pins_memory_and_keeps_channels_last(dataset, workers, load):
    batch = load(dataset, 1, config=DataConfig(workers=workers), pin_memory=True)[0][0]
    assert batch["image"].is_pinned()
    assert batch["label"].is_pinned()
    assert batch["image"].is_contiguous(memory_format=torch.channels_last)


def test_slot_result_pins_tensors_and_leaves_captions(monkeypatch):
    from ganforge.data.loader import _SlotResult

    monkeypatch.setattr(torch.Tensor, "pin_memory", lambda self: self + 1)
    result = _SlotResult({"label": torch.zeros(2), "caption": ["a"]}, ["bad"]).pin_memory()
    assert result.values["label"].tolist() == [1, 1]
    assert result.values["caption"] == ["a"]
    assert result.bad == ["bad"]
