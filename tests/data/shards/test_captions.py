from ganforge.data.shards.captions import caption_lines


def test_caption_lines_are_the_lines_that_are_not_blank():
    assert caption_lines(" one \n\n \ttwo\r\nthree") == ["one", "two", "three"]
