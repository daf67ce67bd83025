"""Ranks that are killed at any moment, and runs that go on with other numbers of ranks.

By hand: GANFORGE_TEST_KILLS=30 python -m pytest tests/training/state/test_kills.py -k random
"""

import json
import os
import random
import shutil
import time

import pytest
import safetensors.torch
import torch
from tiny_runs import DCGAN, TRAIN, write_noise, write_pipeline
from training.forked import end, import_all, said, start

pytestmark = pytest.mark.dist
NUM_KILLS = int(os.environ.get("GANFORGE_TEST_KILLS", "3"))
BATCH = 8


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """Prepared shards of 32 images of noise, and `tiny.yaml`."""
    import_all()
    folder = tmp_path_factory.mktemp("kills")
    write_noise(folder / "images", 32)
    train = {
        "batch_size": BATCH, "slots": 4, "precision": "fp32", "log_every_kimg": 0.016,
        "sample_every_kimg": 100, "checkpoint_every_kimg": 0.024, "keep_checkpoints": 2,
        "health": {"enabled": False},
    }  # fmt: skip
    data = {"shards": "shards", "workers": 0, "shuffle_window": 7}
    write_pipeline(folder, stages=["train"], data=data, model=DCGAN, train={**TRAIN, **train})
    source = "data.source={name: folder, path: images}"
    prepared = ["stages=[prepare]", source, "data.resolution=8", "data.shards=null", "run_dir=p"]
    (rank,) = start(folder, 1, "tiny", prepared)
    assert end([rank]) == [0]
    shutil.move(folder / "p" / "shards", folder / "shards")
    return folder


def finish(folder, num_ranks, name, num_images):
    ranks = start(
        folder, num_ranks, "tiny", [f"run_dir={name}", f"train.total_kimg={num_images / 1000}"]
    )
    assert end(ranks) == [0] * num_ranks, said(folder, "tiny")


def weights(folder, name, num_images):
    newest = folder / name / "checkpoints" / f"nimg-{num_images:09d}"
    return {
        f"{part}/{key}": tensor
        for part in ("networks", "ema", "optimizers")
        for key, tensor in safetensors.torch.load_file(newest / f"{part}.safetensors").items()
    }


def losses(folder, name):
    """Images and losses of each log record that is due by progress."""
    lines = (folder / name / "log.jsonl").read_text().splitlines()
    records = [record for record in map(json.loads, lines) if "by" not in record]
    return [
        (record["nimg"], *(value for key, value in record.items() if key.startswith("loss/")))
        for record in records
    ]


def wait_for_progress(folder, draw, ranks):
    """Until a newer checkpoint is there and a random time has passed, or one is being written."""
    checkpoints = folder / "killed" / "checkpoints"
    before = newest(checkpoints)
    deadline = time.monotonic() + 240
    while newest(checkpoints) == before:
        assert all(rank.is_alive() for rank in ranks), said(folder, "tiny")
        assert time.monotonic() < deadline
        time.sleep(0.002)
    if draw.random() < 0.5:
        time.sleep(draw.uniform(0, 0.1))
        return False
    last, missed = newest(checkpoints), 0
    while missed < 2:
        if any(checkpoints.glob(".nimg-*.partial-*")):
            return True
        if newest(checkpoints) != last:
            last, missed = newest(checkpoints), missed + 1
        assert time.monotonic() < deadline
    return False


def newest(checkpoints):
    return max((path.name for path in checkpoints.glob("nimg-*")), default="")


def test_run_whose_ranks_are_killed_at_random_moments_ends_with_the_same_bits(folder):
    num_images = NUM_KILLS * 12 * BATCH
    finish(folder, 2, "whole", num_images)
    draw, during_save = random.Random(0), 0
    for _ in range(NUM_KILLS):
        options = ["run_dir=killed", f"train.total_kimg={num_images / 1000}"]
        ranks = start(folder, 2, "tiny", options)
        during_save += wait_for_progress(folder, draw, ranks)
        for rank in draw.sample(ranks, 2):
            rank.kill()
        assert end(ranks) == [-9, -9]
    finish(folder, 2, "killed", num_images)
    expected, found = weights(folder, "whole", num_images), weights(folder, "killed", num_images)
    assert expected.keys() == found.keys()
    assert [key for key in expected if not torch.equal(expected[key], found[key])] == []
    # Without gap or double; the values are means of intervals, which a resume cuts short.
    logged = [[nimg for nimg, *_ in losses(folder, name)] for name in ("killed", "whole")]
    assert logged[0] == logged[1]
    if NUM_KILLS > 10:
        assert during_save > 3


@pytest.mark.parametrize("num_ranks", [1, 4])
def test_run_of_two_ranks_goes_on_with_another_number(folder, num_ranks):
    if not (folder / "half").exists():
        finish(folder, 2, "half", 5 * BATCH)
        shutil.copytree(folder / "half", folder / "two")
        finish(folder, 2, "two", 10 * BATCH)
    name = f"on-{num_ranks}"
    shutil.copytree(folder / "half", folder / name)
    finish(folder, num_ranks, name, 10 * BATCH)
    torch.testing.assert_close(
        torch.tensor(losses(folder, name)), torch.tensor(losses(folder, "two")), rtol=0, atol=1e-5
    )
    expected, found = weights(folder, "two", 10 * BATCH), weights(folder, name, 10 * BATCH)
    for key in (key for key in expected if key.startswith("networks")):
        torch.testing.assert_close(found[key], expected[key], rtol=1e-5, atol=1e-5, msg=key)
