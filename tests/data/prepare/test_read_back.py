"""What `prepare` stores is what the loader reads: every kind of field, through files."""

import json

import numpy as np
import torch
from PIL import Image
from preparing import RNG, config, run

FIELDS = {
    "source": {"kind": "labels"},
    "instances": {"num_labels": 0},
    "depth": {"value_range": (-10, 10)},
    "box": {"coordinates": "xyxy"},
}


def write_manifest(folder, rows):
    (folder / "list.jsonl").write_text("\n".join(map(json.dumps, rows)))
    columns = {name: name for name in rows[0]}
    return {"path": str(folder / "list.jsonl"), "name": "manifest", "source": {"columns": columns}}


def write_boxes(folder, number):
    """A white box on black, 16 x 32 pixels, as an image and as every other kind of field."""
    left, top = 2 * int(RNG.integers(0, 10)), 2 * int(RNG.integers(0, 5))
    inside = np.zeros((16, 32), dtype=bool)
    inside[top : top + 4, left : left + 8] = True
    Image.fromarray((inside * 255).astype(np.uint8)).save(folder / f"{number}.png")
    Image.fromarray((inside * 20).astype(np.uint8)).save(folder / f"{number}-map.png")
    np.save(folder / f"{number}-ids.npy", inside * 40_000)
    np.save(folder / f"{number}-depth.npy", np.where(inside, 10.0, -10.0).astype(np.float32))
    many = np.stack([inside * 9 * n for n in range(5)], axis=2)
    np.save(folder / f"{number}-many.npy", many.astype(np.uint8))
    return {
        "target": f"{number}.png",
        "source": f"{number}-map.png",
        "instances": f"{number}-ids.npy",
        "depth": f"{number}-depth.npy",
        "many": f"{number}-many.npy",
        "box": [left, top, left + 8, top + 4],
    }


def test_all_kinds_of_fields_are_read_back_alike_under_crops_and_flips(tmp_path, load):
    rows = [write_boxes(tmp_path, number) for number in range(6)]
    manifest = write_manifest(tmp_path, rows)
    settings = config(
        **manifest, fields=FIELDS, resolution=(6, 12), crop={"from": (8, 16)}, flip=True, workers=0
    )
    index = run(settings, tmp_path / "out")
    assert (index.fields["source"].size, index.fields["instances"].bit_depth) == (21, 16)
    batch = load(tmp_path / "out", config=settings, fields=[*rows[0]], micro_batch=12)[0][0]
    ids = batch["source"][:, 0]
    assert set(ids.flatten().tolist()) == {0, 20}
    assert set(batch["instances"].flatten().tolist()) == {0, 40_000}
    # The box has even corners, so that halving it is exact, but for Lanczos at its edges.
    assert torch.equal(ids > 0, batch["instances"][:, 0] > 0)
    assert torch.equal(ids > 0, batch["target"][:, 0] > 127)
    assert torch.equal(ids > 0, batch["depth"][:, 0] > 32767)
    assert torch.equal(ids > 0, batch["many"][:, 4] > 18)
    for img, (left, top, right, bottom) in zip(ids, batch["box"].round().int(), strict=True):
        seen = torch.zeros_like(img)
        seen[max(0, top) : max(0, bottom), max(0, left) : max(0, right)] = 20
        assert torch.equal(seen, img)


def test_clips_with_boxes_are_read_back_as_windows(tmp_path, load):
    frames = [write_boxes(tmp_path, number) for number in range(9)]
    rows = [
        {
            "frames": [frame["target"] for frame in frames[:count]],
            "source": [frame["source"] for frame in frames[:count]],
            "box": [frame["box"] for frame in frames[:count]],
        }
        for count in (9, 7, 3)
    ]
    rows[1]["frames"][0], rows[2]["frames"][0] = frames[1]["target"], frames[2]["target"]
    rows[1]["source"][0], rows[2]["source"][0] = frames[1]["source"], frames[2]["source"]
    rows[1]["box"][0], rows[2]["box"][0] = frames[1]["box"], frames[2]["box"]
    fields = {name: FIELDS[name] for name in ("source", "box")}
    clip = {"num_frames": 3, "stride": 2}
    settings = config(**write_manifest(tmp_path, rows), fields=fields, clip=clip, workers=0)
    index = run(settings, tmp_path / "out")
    assert (index.num_samples(), index.image_spec.num_frames) == (2, 7)
    options = {"config": settings, "fields": ["frames", "source", "box"], "micro_batch": 4}
    batch = load(tmp_path / "out", **options)[0][0]
    assert batch["frames"].shape == (4, 3, 1, 16, 32)
    ids = batch["source"].flatten(0, 1)[:, 0]
    assert torch.equal(ids > 0, batch["frames"].flatten(0, 1)[:, 0] > 127)
    for img, (left, top, right, bottom) in zip(ids, batch["box"].flatten(0, 1).int(), strict=True):
        assert (img[top:bottom, left:right] == 20).all()
