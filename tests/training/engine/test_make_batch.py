"""What a loader yields becomes a batch on the device, in [-1, 1] and one-hot."""

import pytest
import torch

from ganforge.errors import DataError
from ganforge.interfaces.spec import FieldSpec, ImageSpec
from ganforge.training.engine.make_batch import make_batch, prepare_field

CPU = torch.device("cpu")


def test_make_batch_maps_bytes_to_the_unit_range_and_labels_to_one_hot():
    deep = FieldSpec("image", 1)
    spec = ImageSpec(2, 2, 1, class_names=("a", "b", "c"), fields={"deep": deep})
    fields = {
        "image": torch.tensor([[[[0, 255], [51, 204]]]], dtype=torch.uint8),
        "deep": torch.tensor([[[[0, 65535]]]], dtype=torch.int32),
        "label": torch.tensor([2]),
    }
    batch = make_batch(fields, spec, CPU)
    torch.testing.assert_close(batch.image, torch.tensor([[[[-1.0, 1.0], [-0.6, 0.6]]]]))
    torch.testing.assert_close(batch["deep"], torch.tensor([[[[-1.0, 1.0]]]]))
    assert torch.equal(batch.label, torch.tensor([[0.0, 0.0, 1.0]]))


def test_make_batch_gives_images_but_not_frames_the_memory_format():
    fields = {
        "image": torch.zeros(2, 3, 4, 4, dtype=torch.uint8),
        "frames": torch.zeros(2, 5, 3, 4, 4, dtype=torch.uint8),
    }
    for channels_last in (True, False):
        batch = make_batch(fields, ImageSpec(4, 4, 3), CPU, channels_last=channels_last)
        is_last = batch.image.is_contiguous(memory_format=torch.channels_last)
        assert is_last is channels_last
        assert batch["frames"].shape == (2, 5, 3, 4, 4) and batch["frames"].is_contiguous()


def test_make_batch_keeps_vectors_and_drops_what_is_no_tensor():
    text = torch.tensor([[0.25, -3.0]])
    batch = make_batch({"text": text, "key": ["a"]}, ImageSpec(4, 4, 3, text_dim=2), CPU)
    assert torch.equal(batch["text"], text) and "key" not in batch.fields


IDS = torch.tensor([[[[0, 1, 2], [1, 3, 300]]]], dtype=torch.int32)


def test_make_batch_makes_label_maps_one_hot_and_larger_ids_all_zero():
    spec = ImageSpec(2, 3, 3, fields={"map": FieldSpec("labels", 3)})
    found = make_batch({"map": IDS}, spec, CPU)["map"]
    assert found.shape == (1, 3, 2, 3) and found.dtype == torch.float32
    assert found.is_contiguous(memory_format=torch.channels_last)
    expected = [[[1, 0, 0], [0, 0, 0]], [[0, 1, 0], [1, 0, 0]], [[0, 0, 1], [0, 0, 0]]]
    assert found[0].tolist() == expected


@pytest.mark.parametrize("dtype", [torch.uint8, torch.int32])
def test_make_batch_gives_the_ids_of_label_maps_of_size_0(dtype):
    spec = ImageSpec(2, 3, 3, fields={"map": FieldSpec("labels", 0)})
    ids = IDS.clamp(max=255).to(dtype)
    found = make_batch({"map": ids}, spec, CPU)["map"]
    assert found.dtype == torch.int64 and found.shape == (1, 1, 2, 3)
    assert torch.equal(found, ids.long())


def test_make_batch_makes_sources_what_the_spec_says():
    ids = IDS.clamp(max=255).to(torch.uint8)
    labels = ImageSpec(2, 3, 3, source_channels=4, source_kind="labels")
    assert make_batch({"source": ids}, labels, CPU)["source"].sum(1).tolist() == [
        [[1, 1, 1], [1, 1, 0]]
    ]
    images = ImageSpec(2, 3, 3, source_channels=1)
    torch.testing.assert_close(make_batch({"source": ids}, images, CPU)["source"], ids / 127.5 - 1)


def test_make_batch_makes_clips_of_label_maps_one_hot_per_frame():
    spec = ImageSpec(2, 3, 3, source_channels=4, source_kind="labels", num_frames=2)
    clip = torch.stack([IDS, (IDS + 1) % 4], dim=1)
    found = make_batch({"source": clip}, spec, CPU)["source"]
    assert found.shape == (1, 2, 4, 2, 3)
    for number in range(2):
        still = make_batch({"source": clip[:, number]}, spec, CPU)["source"]
        assert torch.equal(found[:, number], still)


def test_make_batch_keeps_vectors_of_clips():
    spec = ImageSpec(4, 4, fields={"box": FieldSpec("vector", 4, is_clip=True)})
    # Five axes would be a clip of images, were the kind read off the shape.
    boxes = torch.arange(24.0).view(2, 3, 4)
    assert torch.equal(make_batch({"box": boxes}, spec, CPU)["box"], boxes)


def test_make_batch_of_a_field_that_the_spec_does_not_know_is_refused():
    spec = ImageSpec(4, 4, fields={"map": FieldSpec("labels", 3)})
    with pytest.raises(DataError, match="field 'depth', but .* text, map. Add it to `spec.fields`"):
        make_batch({"depth": torch.zeros(1, 1, 4, 4, dtype=torch.uint8)}, spec, CPU)


def test_prepare_field_keeps_the_memory_format_unless_told():
    img = torch.zeros(2, 3, 4, 4, dtype=torch.uint8)
    assert prepare_field("image", img, ImageSpec(4, 4), CPU).is_contiguous()


def test_make_batch_hands_on_progress_and_the_state_of_the_slot():
    state, counts = {"pool": torch.zeros(1)}, torch.tensor([3.0])
    batch = make_batch(
        {"text": torch.zeros(1, 2)},
        ImageSpec(4, 4, 3, text_dim=2),
        CPU,
        nimg=7,
        slot_state=state,
        class_counts=counts,
    )
    assert batch.nimg == 7 and batch.slot_state is state and batch.class_counts is counts
