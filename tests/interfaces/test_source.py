from ganforge.config.models import StrictModel
from ganforge.interfaces.source import Sample, Source


class Endless(Source[StrictModel]):
    """A source that gives no more than it must."""

    name = "endless"

    def samples(self, stream="main"):
        yield Sample("a", {"image": b""})


def test_source_by_default_has_one_stream_and_no_names():
    source = Endless(StrictModel())
    assert source.streams() == ("main",)
    assert (source.class_names(), source.attribute_names()) == ((), ())


def test_source_of_unknown_length_says_none_and_is_true():
    source = Endless(StrictModel())
    assert source.num_samples() is None
    assert source
