"""Validation data: held out of the source of the training data, or from another source."""

import os

import numpy as np
import pytest
from preparing import config, run, save, stored

from ganforge.data.prepare.preparation import Preparation
from ganforge.data.prepare.source_to_shards import prepare_validation
from ganforge.data.shards.index import load_index
from ganforge.data.shards.verify import verify_shards
from ganforge.errors import DataError


def numbers(helpers, location):
    return sorted(helpers.number_of(stored(location)))


def test_held_out_samples_are_in_the_validation_data_alone(photos, tmp_path, helpers):
    settings = config(photos, validation={"num_samples": 5})
    index = run(settings, tmp_path / "out", validation=tmp_path / "val")
    held_out = load_index(str(tmp_path / "val"))
    assert (index.num_samples(), held_out.num_samples()) == (7, 5)
    trained, kept = (numbers(helpers, tmp_path / name) for name in ("out", "val"))
    assert sorted(trained + kept) == list(range(12))
    assert not set(trained) & set(kept)
    counts = np.add(index.class_counts, held_out.class_counts)
    assert counts.tolist() == [6, 6]
    assert index.image_spec == held_out.image_spec
    assert verify_shards(str(tmp_path / "val")).is_sound
    assert not list(tmp_path.glob("*/*.spool"))


def test_held_out_samples_are_chosen_by_seed_and_lie_beside_the_shards(photos, tmp_path, helpers):
    settings = config(photos, validation={"num_samples": 5})
    for name, seed in (("a", 0), ("b", 0), ("c", 1)):
        run(settings, tmp_path / name, seed=seed)
    a, b, c = (numbers(helpers, tmp_path / f"{name}-validation") for name in "abc")
    assert a == b != c
    assert a != list(range(5))


def test_held_out_samples_of_unpaired_domains_come_from_both(tmp_path, helpers):
    for name, count in (("x", 4), ("y", 7)):
        for number in range(count):
            save(tmp_path / name / f"{number}.png", helpers.numbered_image(number))
    source = {"source": str(tmp_path / "x"), "target": str(tmp_path / "y")}
    run(config(name="unpaired", source=source, validation={"num_samples": 3}), tmp_path / "out")
    held_out = load_index(str(tmp_path / "out-validation"))
    assert {s: held_out.num_samples(s) for s in held_out.streams} == {"source": 3, "target": 3}


def test_pieces_of_one_clip_are_never_on_both_sides(tmp_path, helpers):
    for clip in range(4):
        for number in range(6):
            pixels = helpers.numbered_image(10 * clip + number)
            save(tmp_path / "in" / f"c{clip}" / f"{number}.png", pixels)
    settings = config(
        str(tmp_path / "in"),
        name="frames",
        source={"max_frames": 2},
        validation={"num_samples": 2},
    )
    run(settings, tmp_path / "out")
    sides = [
        {int(v) // 10 for v in stored(tmp_path / name, "frames")[:, 0, 0, 0, 0]}
        for name in ("out", "out-validation")
    ]
    assert sides[0] | sides[1] == set(range(4))
    assert not sides[0] & sides[1]


def test_holding_out_everything_is_refused(photos, tmp_path):
    settings = config(photos, validation={"num_samples": 12})
    with pytest.raises(DataError, match="num_samples=12 leaves nothing to train on: .* 12 samples"):
        run(settings, tmp_path / "out")
    assert sorted(os.listdir(tmp_path)) == ["photos"]


@pytest.fixture
def more_photos(tmp_path, helpers):
    """Images of other sizes and channels in the classes of `photos`."""
    for number in range(4):
        pixels = np.repeat(np.repeat(helpers.numbered_image(100 + number), 2, 0), 2, 1)
        save(tmp_path / "more" / "ab"[number % 2] / f"{number}.png", pixels[..., 0])
    return {"name": "folder", "path": str(tmp_path / "more")}


def test_validation_source_gets_the_form_of_the_training_data(photos, more_photos, tmp_path):
    settings = config(photos, resolution=8, validation={"source": more_photos})
    index = run(settings, tmp_path / "out", validation=tmp_path / "val")
    found = load_index(str(tmp_path / "val"))
    assert found.image_spec == index.image_spec
    assert found.fields == index.fields
    assert (index.num_samples(), found.num_samples()) == (12, 4)
    assert sorted(stored(tmp_path / "val")[:, 0, 4, 4].tolist()) == [100, 101, 102, 103]


def test_validation_source_without_the_classes_is_refused(photos, tmp_path, helpers):
    save(tmp_path / "more" / "b" / "1.png", helpers.numbered_image(1))
    save(tmp_path / "more" / "c" / "1.png", helpers.numbered_image(1))
    more = {"name": "folder", "path": str(tmp_path / "more")}
    with pytest.raises(DataError, match="have the classes b, c, the training data a, b"):
        run(config(photos, validation={"source": more}), tmp_path / "out")
    assert sorted(os.listdir(tmp_path)) == ["more", "photos"]


def test_validation_source_of_other_fields_or_streams_is_refused(photos, tmp_path, helpers):
    save(tmp_path / "more" / "1.png", helpers.numbered_image(1))
    place = str(tmp_path / "more")
    loose = {"name": "folder", "path": place}
    fault = "Sample '1,png' of validation source 'folder': .*fields image, the other samples have"
    with pytest.raises(DataError, match=fault):
        run(config(photos, validation={"source": loose}), tmp_path / "out")
    unpaired = {"name": "unpaired", "source": place, "target": place}
    with pytest.raises(DataError, match="the streams source, target, the training data have main"):
        run(config(photos, validation={"source": unpaired}), tmp_path / "out")


def test_validation_source_of_pairs_fits_training_data_of_two_domains(tmp_path, helpers):
    for domain, first in (("source", 0), ("target", 20)):
        for number in range(3):
            save(tmp_path / domain / f"{number}.png", helpers.numbered_image(first + number))
    folders = {domain: str(tmp_path / domain) for domain in ("source", "target")}
    pairs = {"source": {"name": "pairs", **folders}}
    settings = config(source={"name": "unpaired", **folders}, validation=pairs)
    index = run(settings, tmp_path / "out", validation=tmp_path / "val")
    found = load_index(str(tmp_path / "val"))
    assert {name: field.stream for name, field in index.fields.items()} == {
        "source": "source",
        "target": "target",
    }
    assert {field.stream for field in found.fields.values()} == {"main"}
    assert found.image_spec == index.image_spec and found.num_samples() == 3


def test_validation_data_can_be_prepared_for_shards_that_exist(photos, more_photos, tmp_path):
    index = run(config(photos), tmp_path / "out")
    settings = config(photos, resolution=8, validation={"source": more_photos})
    found = prepare_validation(settings, index, tmp_path / "val", workers=0, progress=False)
    assert found.fields == index.fields
    with pytest.raises(DataError, match="data.validation.source is not set"):
        prepare_validation(config(photos), index, tmp_path / "val2")


@pytest.mark.parametrize("is_separate", [False, True])
def test_training_and_validation_data_in_one_folder_are_refused_before_any_is_read(
    photos, more_photos, tmp_path, monkeypatch, is_separate
):
    monkeypatch.setattr(Preparation, "write", lambda *given: 1 / 0)
    validation = {"source": more_photos} if is_separate else {"num_samples": 1}
    settings = config(photos, validation=validation)
    with pytest.raises(DataError, match="cannot hold both"):
        run(settings, tmp_path / "out", validation=tmp_path / "out")
    with pytest.raises(DataError, match="lies in"):
        run(settings, tmp_path / "out", validation=tmp_path / "out" / "in")
