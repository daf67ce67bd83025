"""What a loader yields becomes a batch on the device, in [-1, 1] and one-hot."""

import torch

from ganforge.interfaces.spec import ImageSpec
from ganforge.training.engine.make_batch import make_batch

CPU = torch.device("cpu")


def test_make_batch_maps_bytes_to_the_unit_range_and_labels_to_one_hot():
    spec = ImageSpec(2, 2, 1, class_names=("a", "b", "c"))
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
