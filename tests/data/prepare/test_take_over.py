"""What a prepare takes over from one that was stopped, and what it does not."""

import logging
import os
import re
from pathlib import Path

import pytest
from preparing import config, noise, run, save

from ganforge.data.prepare import spool_folder
from ganforge.data.prepare.sample_encoder import SampleEncoder
from ganforge.data.prepare.spool import Spool
from ganforge.errors import DataError
from ganforge.io import locks
from ganforge.io.locks import lock_path, unlock


@pytest.fixture(autouse=True)
def kept(monkeypatch):
    monkeypatch.setattr(spool_folder, "MIN_KEPT_BYTES", 0)


@pytest.fixture
def encoded(monkeypatch):
    """The keys of the samples that are encoded."""
    keys, encode = [], SampleEncoder.encode

    def noted(encoder, sample):
        keys.append(sample.key)
        return encode(encoder, sample)

    monkeypatch.setattr(SampleEncoder, "encode", noted)
    return keys


@pytest.fixture
def stop(monkeypatch, encoded):
    """Stops a prepare when it has added some samples."""
    append = Spool.append

    def _stop(settings, out, at=7, **options):
        left = [at]

        def interrupted(spool, sample):
            append(spool, sample)
            left[0] -= 1
            if not left[0]:
                raise KeyboardInterrupt

        with monkeypatch.context() as patched, pytest.raises(KeyboardInterrupt):
            patched.setattr(Spool, "append", interrupted)
            run(settings, out, **options)
        encoded.clear()

    return _stop


def content(folder):
    return {path.name: path.read_bytes() for path in sorted(folder.iterdir())}


@pytest.fixture
def check(tmp_path, encoded):
    """Prepares again; checks what it encodes, and that the rest is as if nothing had happened."""

    def _check(settings, num_encoded, **options):
        run(settings, tmp_path / "out", **options)
        assert len(encoded) == num_encoded
        run(settings, tmp_path / "whole")
        for name in ("", "-validation"):
            whole, out = (tmp_path / f"{folder}{name}" for folder in ("whole", "out"))
            assert whole.exists() == out.exists() == (name == "" or bool(settings.validation))
            assert not out.exists() or content(whole) == content(out)
        assert not list(tmp_path.glob(".*"))

    return _check


@pytest.mark.parametrize("held_out", [None, {"num_samples": 3}])
def test_stopped_prepare_goes_on_where_it_was(photos, tmp_path, stop, check, caplog, held_out):
    caplog.set_level(logging.INFO)
    settings = config(photos, validation=held_out)
    stop(settings, tmp_path / "out")
    spool = tmp_path / ".out.spool"
    assert f"The encoded samples (7) are kept in {spool}. Run the same" in caplog.text
    check(settings, 5)
    assert "Taken over from an earlier prepare: 7 samples of source 'folder'." in caplog.text


def test_prepare_stopped_while_it_takes_over_keeps_all(photos, tmp_path, stop, check, monkeypatch):
    stop(config(photos), tmp_path / "out")
    with monkeypatch.context() as patched, pytest.raises(ZeroDivisionError):
        patched.setattr(Spool, "take_over", lambda *given: 1 / 0)
        run(config(photos), tmp_path / "out")
    check(config(photos), 5)


def test_stopped_prepare_goes_on_in_the_second_stream(tmp_path, stop, check, encoded):
    for side, count in (("x", 4), ("y", 6)):
        for number in range(count):
            save(tmp_path / side / f"{number}.png", noise(8, 8, 3))
    source = {"source": str(tmp_path / "x"), "target": str(tmp_path / "y")}
    settings = config(name="unpaired", source=source, validation={"num_samples": 1})
    stop(settings, tmp_path / "out")
    check(settings, 3)
    assert encoded[:3] == ["3,png", "4,png", "5,png"]


def test_stopped_prepare_of_clips_and_their_pieces_goes_on(tmp_path, stop, check):
    for clip in "abc":
        for number in range(4):
            save(tmp_path / "in" / clip / f"{number}.png", noise(8, 8, 3))
    options = {"source": {"max_frames": 2}, "validation": {"num_samples": 1}}
    settings = config(str(tmp_path / "in"), name="frames", clip={"num_frames": 2}, **options)
    stop(settings, tmp_path / "out", at=2)
    check(settings, 4)


def test_stopped_validation_data_of_another_source_go_on(photos, tmp_path, stop, check):
    for number in range(4):
        save(tmp_path / "more" / "ab"[number % 2] / f"{number}.png", noise(8, 8, 3))
    more = {"name": "folder", "path": str(tmp_path / "more")}
    settings = config(photos, validation={"source": more})
    stop(settings, tmp_path / "out", at=14)
    check(settings, 2)


def test_stopped_prepare_that_overwrites_goes_on_only_when_it_may(photos, tmp_path, stop, check):
    run(config(photos, resolution=4), tmp_path / "out")
    stop(config(photos), tmp_path / "out", overwrite=True)
    with pytest.raises(DataError, match="already exists"):
        run(config(photos), tmp_path / "out")
    check(config(photos), 5, overwrite=True)


CHANGED = [
    (3, lambda path: os.utime(path, (1, 1)), r"sample 'a\+3,png' has changed"),
    (2, lambda path: save(path, noise(8, 8, 3)), r"sample 'a\+2,png' has changed"),
    (1, lambda path: path.unlink(), r"sample 'a\+2,png' is in the place of 'a\+1,png'"),
]


@pytest.mark.parametrize(("number", "change", "why"), CHANGED)
def test_samples_from_the_first_changed_one_on_are_encoded_anew(
    photos, tmp_path, stop, check, caplog, number, change, why
):
    caplog.set_level(logging.INFO)
    stop(config(photos), tmp_path / "out")
    change(Path(photos) / "a" / f"{number}.png")
    check(config(photos), len(list(Path(photos).glob("*/*"))) - number)
    assert re.search(
        f": {number} samples of .*; the rest is encoded again, because {why}", caplog.text
    )


def test_sample_that_is_gone_from_the_end_is_not_taken_over(photos, tmp_path, stop, check, caplog):
    caplog.set_level(logging.INFO)
    stop(config(photos), tmp_path / "out", at=12)
    (Path(photos) / "b" / "11.png").unlink()
    check(config(photos), 0)
    assert "11 samples of source 'folder'; the rest is encoded again, because" in caplog.text
    assert "there is no sample 'b+11,png' any more" in caplog.text


def test_samples_of_another_form_are_encoded_anew(photos, tmp_path, stop, check, caplog):
    caplog.set_level(logging.INFO)
    stop(config(photos), tmp_path / "out")
    save(Path(photos) / "b" / "11.png", noise(8, 8, 4))  # which is not encoded yet
    check(config(photos), 12)
    assert "earlier prepare are not taken over: their form has changed." in caplog.text


def test_samples_of_other_settings_are_encoded_anew(photos, tmp_path, stop, check, caplog):
    caplog.set_level(logging.INFO)
    stop(config(photos), tmp_path / "out")
    check(config(photos, resolution=4), 12)
    assert (
        "Samples of an earlier prepare are not taken over: data.resolution (crop.from) was None "
        "and is [4, 4]." in caplog.text
    )
    assert "damaged" not in caplog.text


def test_samples_after_a_damaged_record_are_encoded_anew(photos, tmp_path, stop, check, caplog):
    caplog.set_level(logging.INFO)
    stop(config(photos), tmp_path / "out")
    path = tmp_path / ".out.spool" / "main.spool"
    data = bytearray(path.read_bytes())
    data[data.index(b"a+4,png")] ^= 1
    path.write_bytes(data)
    check(config(photos), 8)
    assert re.search(r"4 samples .* the last \d+ bytes of its spool are damaged", caplog.text)


def test_bad_sample_that_is_repaired_or_skipped_costs_no_other(photos, tmp_path, check, encoded):
    bad = Path(photos) / "b" / "8.png"
    good = bad.read_bytes()
    bad.write_bytes(b"broken")
    with pytest.raises(DataError, match="set data.on_bad_sample: skip"):
        run(config(photos), tmp_path / "out")
    encoded.clear()
    bad.write_bytes(good)
    check(config(photos), 4)


def test_skipped_samples_are_counted_again(photos, tmp_path, stop, check, caplog):
    caplog.set_level(logging.INFO)
    (Path(photos) / "a" / "2.png").write_bytes(b"broken")
    settings = config(photos, on_bad_sample="skip")
    stop(settings, tmp_path / "out")
    caplog.clear()
    check(settings, 5 + 1)  # the bad one is tried again
    assert caplog.text.count("Left out: Sample 'a+2,png'") == 2  # of `out` and `whole`
    assert caplog.text.count("Left out in all: 1 bad samples.") == 2


def test_skipped_sample_whose_fault_has_passed_is_not_skipped_again(
    photos, tmp_path, stop, check, caplog
):
    caplog.set_level(logging.INFO)
    path = Path(photos) / "a" / "2.png"
    good = path.read_bytes()
    for data in (bytes(len(good)), good):
        path.write_bytes(data)
        os.utime(path, (1, 1))  # so that only reading it tells
        if data != good:
            stop(config(photos, on_bad_sample="skip"), tmp_path / "out")
    check(config(photos, on_bad_sample="skip"), 1 + 10)  # it is tried, then encoded with the rest
    assert "encoded again, because sample 'a+2,png' can be read now" in caplog.text


def test_spool_that_somebody_else_changes_ends_a_prepare(photos, tmp_path, monkeypatch):
    flush = Spool.flush

    def changed(spool):
        flush(spool)
        spool.path.write_bytes(b"")

    monkeypatch.setattr(Spool, "flush", changed)
    with pytest.raises(DataError, match=r"main\.spool has changed while the data set was written"):
        run(config(photos), tmp_path / "out")


@pytest.mark.parametrize("has_locks", [True, False])
def test_prepare_leaves_no_spool_behind(photos, tmp_path, monkeypatch, has_locks):
    if not has_locks:
        monkeypatch.setattr(locks, "fcntl", None)
    run(config(photos), tmp_path / "out")
    assert not list(tmp_path.glob(".*"))


def test_secrets_in_settings_and_faults_are_not_kept(tmp_path, stop):
    token = "hf_abcdefghijk"
    place = tmp_path / f"x?token={token}"
    for number in range(9):
        save(place / f"{number}.png", noise(8, 8, 3))
    (place / "2.png").write_bytes(b"broken")
    stop(config(str(place), on_bad_sample="skip"), tmp_path / "out")
    data = (tmp_path / ".out.spool" / "main.spool").read_bytes()
    assert b"token=***" in data and b"2,png" in data
    assert token.encode() not in data


def test_second_writer_takes_nothing_over(photos, tmp_path, stop, check, encoded, caplog):
    caplog.set_level(logging.INFO)
    stop(config(photos), tmp_path / "out")
    held = lock_path(tmp_path / ".out.spool" / "lock", wait=False, create=True)
    before = content(tmp_path / ".out.spool")
    try:
        run(config(photos), tmp_path / "out")
    finally:
        unlock(held)
    assert len(encoded) == 12
    assert "is used by another process, or cannot be locked" in caplog.text
    assert content(tmp_path / ".out.spool") == before
    assert not list((tmp_path / "out").glob("*.spool"))


def test_full_disk_keeps_what_is_encoded_and_says_so(photos, tmp_path, small_disk, caplog):
    out = small_disk("8k") / "out"
    with pytest.raises(DataError, match="out .*No space left.*enough room in data.shards"):
        run(config(photos), out)
    assert "are kept in" in caplog.text
    assert [path.name for path in out.parent.iterdir()] == [".out.spool"]


def test_little_that_is_encoded_is_removed_after_an_error(photos, tmp_path, stop, monkeypatch):
    monkeypatch.setattr(spool_folder, "MIN_KEPT_BYTES", 10_000)
    stop(config(photos), tmp_path / "out")
    assert not list(tmp_path.glob(".*"))
