import json

import pytest
import torch

from ganforge.training.state.same_weights import checksum


@pytest.mark.dist
def test_weights_that_differ_on_a_rank_are_named_on_all_ranks(two_ranks):
    for rank in range(2):
        found = json.loads((two_ranks / f"weights-{rank}.json").read_text())
        assert found["after_broadcast"] == ""
        for part in ("rank 1 differ", "generator.layers.3.bias", "No checkpoint is saved"):
            assert part in found["after_drift"]
        assert found["saved"] == []


def test_checksum_sees_one_bit_and_no_layout():
    tensor = torch.randn(2, 3, 4, 5)
    changed = tensor.clone()
    changed[1, 2, 3, 4] = torch.nextafter(changed[1, 2, 3, 4], torch.tensor(9.0))
    assert checksum(changed) != checksum(tensor)
    assert checksum(tensor.to(memory_format=torch.channels_last)) == checksum(tensor)
    assert checksum(torch.tensor(1.0, dtype=torch.float64)).dtype == torch.int64
