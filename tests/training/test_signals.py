"""Signals are heard once, obeyed where nothing is lost, and left alone afterwards."""

import os
import pty
import signal
import subprocess
import sys

import pytest

from ganforge.errors import RunStopped
from ganforge.training.signals import STOPPING, StopSignals


def send(number=signal.SIGUSR1):
    os.kill(os.getpid(), number)


@pytest.mark.parametrize("number", STOPPING)
def test_stop_signals_hear_each_signal(caplog, monkeypatch, number):
    monkeypatch.setattr(signal, "getsignal", lambda number: signal.SIG_DFL)  # as without nohup
    with StopSignals() as signals:
        assert signals.received is None
        send(number)
        assert signals.received == number
    assert f"{signal.Signals(number).name}: will stop as soon as nothing is lost" in caplog.text


def test_stop_signals_end_at_once_at_the_second_signal_and_restore_the_handlers():
    before = signal.getsignal(signal.SIGINT)
    with pytest.raises(KeyboardInterrupt), StopSignals():
        for _ in range(2):
            send(signal.SIGINT)
    assert signal.getsignal(signal.SIGINT) is before


def test_stop_signals_leave_an_ignored_hangup_ignored():
    before = signal.signal(signal.SIGHUP, signal.SIG_IGN)  # what nohup does
    try:
        with StopSignals() as signals:
            send(signal.SIGHUP)
            assert signals.received is None
    finally:
        signal.signal(signal.SIGHUP, before)


def test_stop_signals_take_several_hangups_for_one(monkeypatch):
    monkeypatch.setattr(signal, "getsignal", lambda number: signal.SIG_DFL)  # as without nohup
    with StopSignals() as signals:
        for _ in range(3):
            send(signal.SIGHUP)
        assert signals.received == signal.SIGHUP


def test_stop_signals_entered_twice_keep_what_they_heard():
    with StopSignals() as signals:
        send()
        with signals:
            assert signals.received == signal.SIGUSR1
        send_is_heard = signal.getsignal(signal.SIGUSR1) == signals._receive
        assert send_is_heard
    with signals:
        assert signals.received is None  # of another run in this process


def test_work_of_one_rank_ends_at_once_and_through_handlers_of_libraries():
    done = []
    with StopSignals() as signals:
        with pytest.raises(RunStopped, match="by a signal during prepare. Run the same command"):
            with signals.at_once("prepare"):
                try:
                    send()
                except Exception:  # noqa: BLE001  # as careless libraries do
                    done.append("swallowed")
                done.append("went on")
        with pytest.raises(RunStopped), signals.at_once("publish"):  # it came before
            done.append("began")
    assert done == []


def test_work_of_all_ranks_ends_where_they_stop_together():
    with StopSignals() as signals:
        with pytest.raises(RunStopped, match="during evaluate"), signals.together("evaluate"):
            assert not signals.wants_stop
            send()
            assert signals.wants_stop
            signals.stop()
        assert not signals.wants_stop  # training, which measures too, stops elsewhere


LEAVES_ITS_TERMINAL = """
from ganforge.training import signals
print("before", flush=True)
signals._leave_terminal()
print("after", flush=True)
"""


def test_a_closed_terminal_gets_no_more_output():
    terminal, end = pty.openpty()
    done = subprocess.run(
        [sys.executable, "-c", LEAVES_ITS_TERMINAL],
        stdout=end,
        stderr=end,
        timeout=120,
        check=False,
    )
    os.close(end)
    assert done.returncode == 0
    assert os.read(terminal, 1000).strip() == b"before"
