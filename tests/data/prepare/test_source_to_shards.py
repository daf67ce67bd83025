import json
import os
import struct
from pathlib import Path

import numpy as np
import pytest
import torch
from preparing import RNG, config, noise, run, save, stored

from ganforge.config.models import DataConfig
from ganforge.data.loader import RealImages
from ganforge.data.prepare import preparation
from ganforge.data.prepare.recipe import recipe
from ganforge.data.prepare.sample_encoder import SampleEncoder
from ganforge.data.prepare.source_to_shards import prepare
from ganforge.data.shards.index import load_index
from ganforge.data.shards.verify import verify_shards
from ganforge.errors import DataError


def test_prepare_writes_shards_that_verify_and_hold_every_sample(photos, tmp_path, helpers):
    index = run(config(photos), tmp_path / "out")
    assert index == load_index(str(tmp_path / "out"))
    assert [shard.num_samples for shard in index.streams["main"]] == [5, 5, 2]
    assert index.image_spec.class_names == ("a", "b")
    assert index.class_counts == (6, 6)
    assert verify_shards(str(tmp_path / "out")).repaired == []
    assert sorted(helpers.number_of(stored(tmp_path / "out"))) == list(range(12))
    real = RealImages(DataConfig(), str(tmp_path / "out"))
    labels = real.samples(range(12), ["label"])["label"].tolist()
    assert labels == [n // 6 for n in helpers.number_of(stored(tmp_path / "out"))]


def test_prepare_shuffles_over_the_whole_data_set_by_seed(photos, tmp_path, helpers):
    orders = {}
    for name, seed in (("a", 0), ("b", 0), ("c", 1)):
        run(config(photos), tmp_path / name, seed=seed)
        orders[name] = helpers.number_of(stored(tmp_path / name))
    assert orders["a"] == orders["b"] != orders["c"]
    assert orders["a"] != list(range(12))


def test_prepare_with_workers_writes_the_same_bytes(photos, tmp_path):
    alone = run(config(photos), tmp_path / "a")
    helped = prepare(config(photos), tmp_path / "b", workers=2, progress=False)
    assert alone.digest == helped.digest


def test_prepare_then_load_end_to_end(photos, tmp_path, helpers, load):
    run(config(photos), tmp_path / "out")
    for step in load(tmp_path / "out", 3, fields=["image", "label"], num_slots=3, micro_batch=4):
        numbers = [n for batch in step for n in helpers.number_of(batch["image"])]
        assert sorted(numbers) == list(range(12))


def test_prepare_of_28_to_32_padded_is_lossless(tmp_path):
    images = noise(6, 28, 28)
    head = b"\0\0\x08\x03" + struct.pack(">3I", 6, 28, 28)
    (tmp_path / "images").write_bytes(head + images.tobytes())
    settings = config(
        name="idx",
        source={"images": str(tmp_path / "images")},
        resolution=32,
        resize="pad",
        background=(0, 0, 0),
    )
    index = run(settings, tmp_path / "out")
    assert (index.image_spec.height, index.image_spec.channels) == (32, 1)
    found = stored(tmp_path / "out")
    inner = {img[0, 2:-2, 2:-2].numpy().tobytes() for img in found}
    assert inner == {img.tobytes() for img in images}
    assert found.sum() == images.sum()


def test_prepare_keeps_jpeg_bytes_when_nothing_changes(tmp_path, helpers):
    smooth = np.linspace(0, 255, 8 * 8 * 3, dtype=np.uint8).reshape(8, 8, 3)
    data = helpers.file_bytes(smooth, "jpg", quality=90)
    (tmp_path / "in").mkdir()
    (tmp_path / "in" / "1.jpg").write_bytes(data)
    run(config(str(tmp_path / "in")), tmp_path / "same")
    assert data in (tmp_path / "same" / "main-000000.tar").read_bytes()
    run(config(str(tmp_path / "in"), resolution=4), tmp_path / "small")
    assert b"image.png" in (tmp_path / "small" / "main-000000.tar").read_bytes()


def test_prepare_composites_alpha_and_reports_rgba_when_kept(tmp_path):
    pixels = np.zeros((8, 8, 4), dtype=np.uint8)
    pixels[:4] = (10, 20, 30, 255)
    save(tmp_path / "in" / "1.png", pixels)
    kept = run(config(str(tmp_path / "in")), tmp_path / "kept")
    assert kept.image_spec.channels == 4
    np.testing.assert_array_equal(stored(tmp_path / "kept")[0].permute(1, 2, 0), pixels)
    flat = config(str(tmp_path / "in"), channels=3, background=(1, 2, 3))
    run(flat, tmp_path / "flat")
    found = stored(tmp_path / "flat")[0].permute(1, 2, 0)
    assert found[0, 0].tolist() == [10, 20, 30]
    assert found[7, 7].tolist() == [1, 2, 3]


def test_prepare_without_channels_takes_the_most_that_occurs(tmp_path):
    save(tmp_path / "in" / "1.png", noise(8, 8))
    save(tmp_path / "in" / "2.png", noise(8, 8, 3))
    assert run(config(str(tmp_path / "in")), tmp_path / "out").image_spec.channels == 3


def test_prepare_of_12_bit_images_notes_white_and_loads_them_bright(tmp_path, load):
    pixels = RNG.integers(0, 4096, (8, 8), dtype=np.uint16)
    pixels[0, 0] = 4000
    save(tmp_path / "in" / "1.tif", pixels)
    index = run(config(str(tmp_path / "in")), tmp_path / "out")
    schema = index.fields["image"]
    assert (schema.bit_depth, schema.max_value) == (16, 4095)
    image = load(tmp_path / "out", micro_batch=1)[0][0]["image"]
    np.testing.assert_array_equal(image[0, 0], np.rint(pixels * (65535 / 4095)))
    expected = np.rint(pixels * (255 / 4095))
    np.testing.assert_allclose(stored(tmp_path / "out")[0, 0], expected, atol=1)


def test_prepare_of_unpaired_domains_writes_two_streams(tmp_path, helpers):
    for name, count in (("x", 3), ("y", 7)):
        for number in range(count):
            save(tmp_path / name / f"{number}.png", helpers.numbered_image(number))
    source = {"source": str(tmp_path / "x"), "target": str(tmp_path / "y")}
    index = run(config(name="unpaired", source=source), tmp_path / "out")
    assert {s: index.num_samples(s) for s in index.streams} == {"source": 3, "target": 7}
    assert index.num_samples() == 7
    assert index.image_spec.source_channels == 3
    assert len(stored(tmp_path / "out", "target")) == 7


def test_prepare_of_pairs_keeps_them_together(tmp_path, helpers):
    for number in range(6):
        save(tmp_path / "x" / f"{number}.png", helpers.numbered_image(number)[..., 0])
        save(tmp_path / "y" / f"{number}.png", helpers.numbered_image(number))
    source = {"source": str(tmp_path / "x"), "target": str(tmp_path / "y")}
    index = run(config(name="pairs", source=source), tmp_path / "out")
    assert (index.image_spec.source_channels, index.image_spec.channels) == (1, 3)
    sources, targets = (stored(tmp_path / "out", f) for f in ("source", "target"))
    assert torch.equal(sources[:, 0], targets[:, 0])


def test_prepare_of_pairs_whose_source_is_to_be_derived_is_refused_at_once(tmp_path):
    for side in "ab":
        save(tmp_path / side / "1.png", noise(8, 8, 3))
    source = {"name": "pairs", "source": str(tmp_path / "a"), "target": str(tmp_path / "b")}
    config = DataConfig(source=source, derive={"name": "gray"})
    with pytest.raises(DataError, match=r"data.derive \(gray\) makes .* the samples of .*have a s"):
        prepare(config, tmp_path / "out", workers=0, progress=False)
    assert not (tmp_path / "out").exists()


def test_prepare_of_pairs_of_two_sizes_asks_for_a_resolution(tmp_path):
    save(tmp_path / "x" / "1.png", noise(8, 8, 3))
    save(tmp_path / "y" / "1.png", noise(16, 16, 3))
    source = {"source": str(tmp_path / "x"), "target": str(tmp_path / "y")}
    with pytest.raises(DataError, match="'source' images are 8 x 8, 'target' .*data.resolution"):
        run(config(name="pairs", source=source), tmp_path / "out")


def test_prepare_of_frames_stores_whole_clips_once(tmp_path, helpers):
    for clip, count in (("a", 5), ("b", 3)):
        for number in range(count):
            save(tmp_path / "clips" / clip / f"{number}.png", helpers.numbered_image(number))
    index = run(config(str(tmp_path / "clips"), name="frames"), tmp_path / "out")
    assert index.image_spec.num_frames == index.fields["frames"].num_frames == 3
    assert index.num_samples() == 2
    frames = stored(tmp_path / "out", "frames")
    assert frames[:, :, 0, 0, 0].tolist() == [[0, 1, 2]] * 2


def test_prepare_of_a_manifest_stores_all_fields(tmp_path, helpers, load):
    np.save(tmp_path / "e.npy", np.arange(4, dtype=np.float32))
    rows = []
    for number in range(3):
        save(tmp_path / f"{number}.png", helpers.numbered_image(number))
        rows.append(
            {
                "image": f"{number}.png",
                "caption": f"number {number}",
                "attributes": [number, -1],
                "text": "e.npy",
            }
        )
    (tmp_path / "m.jsonl").write_text("\n".join(map(json.dumps, rows)))
    index = run(config(str(tmp_path / "m.jsonl"), name="manifest"), tmp_path / "out")
    assert index.image_spec.attribute_names == ("0", "1")
    assert index.image_spec.text_dim == 4
    fields = ["image", "caption", "attributes", "text"]
    batch = load(tmp_path / "out", fields=fields, micro_batch=3)[0][0]
    numbers = helpers.number_of(batch["image"])
    assert batch["caption"] == [f"number {n}" for n in numbers]
    assert batch["attributes"].tolist() == [[n, -1] for n in numbers]
    assert batch["text"].tolist() == [[0, 1, 2, 3]] * 3


def test_index_records_what_decides_the_content_and_nothing_else(photos, tmp_path):
    found = run(config(photos, workers=7, flip=True), tmp_path / "out", seed=1).recipe
    assert found.pop("ganforge")
    assert found == recipe(config(photos), seed=1) != recipe(config(photos, resolution=4), seed=1)


def test_prepare_that_fails_leaves_nothing_behind(photos, tmp_path):
    (Path(photos) / "a" / "0.png").write_bytes(b"broken")
    with pytest.raises(DataError):
        run(config(photos), tmp_path / "out")
    assert sorted(os.listdir(tmp_path)) == ["photos"]


def test_prepare_without_a_source_says_what_to_set(tmp_path):
    with pytest.raises(DataError, match="data.source is not set.*name: folder"):
        run(DataConfig(), tmp_path / "out")


@pytest.mark.parametrize("workers", [0, 1])
def test_prepare_of_a_bad_image_names_the_file(photos, tmp_path, workers):
    bad = Path(photos) / "b" / "7.png"
    bad.write_bytes(bad.read_bytes()[:60])
    with pytest.raises(
        DataError,
        match=r"Sample 'b\+7,png' of source 'folder': field 'image' \(.*7.png\) cannot be "
        r"decoded .*Repair or remove it, or set data.on_bad_sample: skip",
    ):
        prepare(config(photos), tmp_path / "out", workers=workers, progress=False)


def test_prepare_that_skips_counts_and_stops_at_the_cap(photos, tmp_path, caplog):
    for number in (1, 2):
        (Path(photos) / "a" / f"{number}.png").write_bytes(b"")
    index = run(config(photos, on_bad_sample="skip"), tmp_path / "out")
    assert index.num_samples() == 10
    assert index.class_counts == (4, 6)
    assert caplog.text.count("Left out: Sample") == 2
    with pytest.raises(DataError, match="More than data.max_bad_samples=1 samples are bad"):
        run(config(photos, on_bad_sample="skip", max_bad_samples=1), tmp_path / "out2")


def test_prepare_of_different_sizes_asks_for_a_resolution(photos, tmp_path):
    save(Path(photos) / "a" / "99.png", noise(8, 9, 3))
    with pytest.raises(DataError, match="8 x 8 and 8 x 9. Set data.resolution"):
        run(config(photos), tmp_path / "out")
    with pytest.raises(DataError, match=r"'a\+99,png'.*is 8 x 9 .* not 8 x 8; set data.resolution"):
        run(config(photos, resize="none"), tmp_path / "out")


def test_prepare_of_an_odd_size_after_the_probe_is_still_an_error(photos, tmp_path, monkeypatch):
    monkeypatch.setattr(preparation, "PROBED", 2)
    save(Path(photos) / "b" / "99.png", noise(8, 9, 3))
    with pytest.raises(DataError, match=r"'b\+99,png'.*is 8 x 9 .* not 8 x 8; set data.resolution"):
        run(config(photos), tmp_path / "out")


def test_prepare_of_only_bad_images_says_so(tmp_path):
    (tmp_path / "in").mkdir()
    (tmp_path / "in" / "1.png").write_bytes(b"x")
    with pytest.raises(DataError, match="None of the first 1 samples .* has a readable 'image'"):
        run(config(str(tmp_path / "in"), on_bad_sample="skip"), tmp_path / "out")


def test_prepare_when_a_worker_dies_says_what_to_do(photos, tmp_path, monkeypatch):
    monkeypatch.setattr(SampleEncoder, "encode_all", lambda self, chunk: os._exit(3))
    with pytest.raises(DataError, match="worker process of prepare died .*fewer than 1 workers"):
        prepare(config(photos), tmp_path / "out", workers=1, progress=False)


def test_progress_bar_is_shown_only_when_asked(photos, tmp_path, capsys):
    run(config(photos), tmp_path / "a")
    assert capsys.readouterr() == ("", "")
    prepare(config(photos), tmp_path / "b", workers=0, progress=True)
    out, err = capsys.readouterr()
    assert (out, "12/12" in err) == ("", True)


def test_prepare_into_a_folder_with_special_characters_works(photos, tmp_path):
    out = tmp_path / "100%d a:b {x}"
    index = run(config(photos), out)
    assert verify_shards(str(out)).is_sound
    assert load_index(str(out)) == index


def test_label_maps_survive_preparation(tmp_path, load):
    """Ids 0 and 20 came back as 0, 10, 20 and 22 when label maps were interpolated."""
    for number in range(4):
        ids = np.where(RNG.random((20, 20)) > 0.5, 20, 0).astype(np.uint8)
        save(tmp_path / "x" / f"{number}.png", ids)
        save(tmp_path / "y" / f"{number}.png", noise(20, 20, 3))
    source = {"source": str(tmp_path / "x"), "target": str(tmp_path / "y")}
    fields = {"source": {"kind": "labels"}}
    index = run(config(name="pairs", source=source, fields=fields, resolution=7), tmp_path / "out")
    assert (index.image_spec.source_kind, index.image_spec.source_channels) == ("labels", 21)
    assert set(stored(tmp_path / "out", "source").flatten().tolist()) == {0, 20}


def test_prepare_of_videos_stores_their_frames(tmp_path, write_video):
    write_video(tmp_path / "in" / "a.mp4", 9)
    write_video(tmp_path / "in" / "b.mp4", 4)
    settings = config(str(tmp_path / "in"), name="video", clip={"num_frames": 5})
    index = run(settings, tmp_path / "out")
    assert (index.num_samples(), index.image_spec.num_frames) == (1, 9)
    found = stored(tmp_path / "out", "frames")[0, :, 0, -1, -1].tolist()
    assert found == pytest.approx([2 * n for n in range(9)], abs=2)


def test_prepare_stores_images_at_the_size_from_which_crops_are_cut(photos, tmp_path):
    index = run(config(photos, resolution=4, crop={"from": 6}), tmp_path / "out")
    assert (index.image_spec.height, index.image_spec.width) == (6, 6)
