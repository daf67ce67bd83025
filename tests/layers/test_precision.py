import torch
from torch import nn

from ganforge.layers import run_layer


def test_layer_stays_in_float32_where_told_and_follows_autocast_elsewhere():
    layer = nn.Conv2d(2, 3, 1)
    x = torch.randn(1, 2, 4, 4)
    with torch.autocast("cpu", dtype=torch.bfloat16):
        exact = run_layer(layer, x.bfloat16(), in_float32=True)
        usual = run_layer(layer, x, in_float32=False)
        assert layer(x).dtype == torch.bfloat16  # and autocast is on again

    assert exact.dtype == torch.float32 and usual.dtype == torch.bfloat16
    torch.testing.assert_close(exact, layer(x.bfloat16().float()))
