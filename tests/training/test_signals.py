"""Signals are heard once, obeyed where nothing is lost, and left alone afterwards."""

import os
import pty
import signal
import subprocess
import sys

import pytest

from ganforge.errors import RunStopped
from ganforge.training import signals
from ganforge.training.signals import STOPPING, StopSignals, ended_by_signals


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


@pytest.fixture
def defaults():
    """Handlers as a new process has them."""
    numbers = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)
    before = {number: signal.getsignal(number) for number in numbers}
    signal.signal(signal.SIGINT, signal.default_int_handler)
    for number in numbers[1:]:
        signal.signal(number, signal.SIG_DFL)
    yield
    for number, handler in before.items():
        signal.signal(number, handler)


@pytest.mark.parametrize(
    ("number", "code"), [(signal.SIGINT, 130), (signal.SIGTERM, 143), (signal.SIGHUP, 129)]
)
def test_signal_unwinds_a_command_and_ends_it_with_one_line(
    defaults, capsys, monkeypatch, number, code
):
    monkeypatch.setattr(signals, "_leave_terminal", lambda: None)
    before, done = signal.getsignal(number), []
    with pytest.raises(SystemExit) as ended, ended_by_signals():
        try:
            send(number)
        except Exception:  # noqa: BLE001  # as careless libraries do
            done.append("swallowed")
        finally:
            done.append(signal.getsignal(number))  # the next one ends the process at once
    assert ended.value.code == code
    assert capsys.readouterr().err == f"Stopped by {number.name}.\n"
    assert done == [signal.SIG_DFL]
    assert signal.getsignal(number) is before


def test_signal_that_an_import_turns_into_another_error_ends_the_command(defaults, capsys):
    with pytest.raises(SystemExit) as ended, ended_by_signals():
        try:
            send(signal.SIGINT)
        except KeyboardInterrupt:
            raise ImportError("cannot load module more than once per process") from None
    assert (ended.value.code, capsys.readouterr().err) == (130, "Stopped by SIGINT.\n")


def test_error_without_a_signal_leaves_a_command_as_it_is(defaults):
    with pytest.raises(ZeroDivisionError), ended_by_signals():
        _ = 1 / 0


def test_signal_ends_a_forked_worker_of_a_command_without_a_word(defaults, capfd):
    with ended_by_signals():
        worker = os.fork()
        if not worker:
            send(signal.SIGTERM)
            os._exit(0)
        status = os.waitstatus_to_exitcode(os.waitpid(worker, 0)[1])
    assert (status, capfd.readouterr().err) == (-signal.SIGTERM, "")


@pytest.mark.parametrize("module", [["ganforge.run"], ["ganforge", "run"]])
def test_signal_while_torch_is_imported_ends_a_run_with_one_line(tmp_path, module):
    (tmp_path / "torch.py").write_text("import os, signal; os.kill(os.getpid(), signal.SIGINT)")
    ended = subprocess.run(
        [sys.executable, "-m", *module, "quickstart"],
        env={**os.environ, "PYTHONPATH": f"{tmp_path}:{os.environ.get('PYTHONPATH', '')}"},
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_DFL),  # as without nohup
        capture_output=True, text=True, timeout=60, check=False,
    )  # fmt: skip
    assert (ended.returncode, ended.stdout, ended.stderr) == (130, "", "Stopped by SIGINT.\n")


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
