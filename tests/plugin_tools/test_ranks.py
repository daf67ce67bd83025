from ganforge.plugin_tools.ranks import _verdict


def test_ranks_verdict_names_the_tensor_that_differs():
    alone = {"digests": {"networks: generator.w": [1.0, 0.5], "ema: generator.w": [1.0, 0.5]}}
    apart = {"digests": {"networks: generator.w": [1.0, 0.5], "ema: generator.w": [1.0, 0.6]}}

    assert _verdict("sound", alone, alone) == ""
    assert "1 and 2 ranks differ in ema: generator.w" in _verdict("sound", alone, apart)
    assert _verdict("sound", {"fault": "it broke"}, alone) == "it broke"
