import threading

import pytest

from ganforge.errors import CheckpointError
from ganforge.training.state.writer import Writer


def test_writer_writes_beside_the_caller_and_one_at_a_time():
    writer, may_end, written = Writer(), threading.Event(), []

    def slow():
        may_end.wait(10)
        written.append("first")

    writer.start(slow)
    assert written == [] and not writer.has_ended
    may_end.set()
    writer.start(lambda: written.append("second"))
    writer.wait()
    assert written == ["first", "second"] and not writer.has_ended


def test_writer_raises_once_what_the_write_raised():
    writer = Writer()

    def fail():
        raise CheckpointError("the disk is full")

    writer.start(fail)
    writer._thread.join()
    assert writer.has_ended
    with pytest.raises(CheckpointError, match="the disk is full"):
        writer.start(lambda: None)
    assert not writer.has_ended
    writer.wait()
