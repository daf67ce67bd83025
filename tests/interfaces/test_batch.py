import pytest
import torch
from torch import nn
from torch.testing import assert_close

from ganforge.api import Batch, DataError, Networks
from ganforge.interfaces.batch import full_precision


def labelled(num, num_classes, counts=None):
    label = torch.eye(num_classes)[torch.zeros(num, dtype=torch.long)]
    return Batch({"image": torch.zeros(num, 1, 2, 2), "label": label}, class_counts=counts)


def test_batch_without_a_field_says_what_it_has_and_what_to_do():
    with pytest.raises(DataError, match="no field 'text'; it has image, label. Name 'text'"):
        labelled(2, 2)["text"]


def test_batch_without_labels_is_unconditional():
    batch = Batch({"image": torch.zeros(3, 1, 2, 2)})
    assert batch.label.shape == (3, 0) and batch.size == 3
    assert batch.draw_label().shape == (3, 0)


def test_draw_label_follows_the_frequencies_of_the_training_data():
    torch.manual_seed(0)
    drawn = labelled(4000, 3, torch.tensor([1.0, 0.0, 3.0])).draw_label()
    assert_close(drawn.mean(0), torch.tensor([0.25, 0.0, 0.75]), atol=0.03, rtol=0)
    equal = labelled(4000, 2).draw_label()
    assert_close(equal.mean(0), torch.full((2,), 0.5), atol=0.03, rtol=0)


def test_reports_of_one_name_are_kept_for_their_mean():
    batch = labelled(2, 2)
    batch.report("logits/real", torch.tensor([1.0, 3.0], requires_grad=True))
    batch.report("logits/real", torch.tensor([True, False]))
    assert_close(batch.reports, {"logits/real": [torch.tensor(2.0), torch.tensor(0.5)]})
    assert not batch.reports["logits/real"][0].requires_grad


def test_networks_give_their_modules_by_role():
    network = nn.Linear(1, 1)
    nets = Networks({"generator": network})
    assert nets["generator"] is nets.eager("generator") is nets.modules()["generator"] is network


def test_full_precision_switches_autocast_off():
    img = torch.ones(1, 1)
    with torch.autocast("cpu", torch.bfloat16):
        assert (img @ img).dtype == torch.bfloat16
        with full_precision(img):
            assert (img @ img).dtype == torch.float32
