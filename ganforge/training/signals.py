"""The signals that stop a run: heard by the whole process, obeyed where it is safe.

Training saves at the next step edge (`tasks.stop`). What rank 0 does alone, `prepare` and
`publish`, ends at once; what it has finished stays. `evaluate` ends on all ranks together after
the batches at hand. Commands that save nothing on the way end at once (`ended_by_signals`).
"""

import contextlib
import logging
import os
import signal
import stat
import sys
import threading
from collections.abc import Iterator
from types import FrameType
from typing import Any

from ganforge.errors import RunStopped

log = logging.getLogger(__name__)

STOPPING = (signal.SIGTERM, signal.SIGINT, signal.SIGUSR1, signal.SIGHUP)
"""The signals on which a run saves and ends."""


class _Interrupted(BaseException):
    """Raised by a handler; no `except Exception` of a library may keep it."""


class _Ended(KeyboardInterrupt):
    """A subclass, because Python exits as if by Ctrl-C once it has seen a KeyboardInterrupt itself.

    It checks when C code runs Python code, as in imports (`run_eval_code_obj`).
    """


@contextlib.contextmanager
def ended_by_signals() -> Iterator[None]:
    """Unwind the block at Ctrl-C, SIGTERM or SIGHUP, which removes temporary files, and exit.

    A second signal ends the process without that, as soon as Python runs. Signals that are ignored,
    as under nohup, stay so.

    Raises:
        SystemExit: a signal came; one line on standard error says so. The status is 128 + its
            number, as in shells: 130 for Ctrl-C, 143 for SIGTERM.
    """
    before: dict[signal.Signals, Any] = {}
    process, received = os.getpid(), list[int]()

    def end(number: int, frame: FrameType | None) -> None:
        for each in before:
            signal.signal(each, signal.SIG_DFL)
        if os.getpid() != process:  # a forked worker has nothing to say
            signal.raise_signal(number)
        received.append(number)
        if number == signal.SIGHUP:
            _leave_terminal()
        raise _Ended

    if threading.current_thread() is threading.main_thread():
        for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
            if signal.getsignal(number) is not signal.SIG_IGN:
                before[number] = signal.signal(number, end)
    try:
        yield
    except BaseException:
        # Any error: an import that is interrupted may fail with another one.
        if not received:
            raise
        with contextlib.suppress(OSError):  # the reader of a pipe may have ended first
            sys.stderr.write(f"Stopped by {signal.Signals(received[0]).name}.\n")
            sys.stderr.flush()
        raise SystemExit(128 + received[0]) from None
    finally:
        for each, handler in before.items():
            signal.signal(each, handler)


class StopSignals:
    """Turns SIGTERM, SIGINT, SIGUSR1 and SIGHUP into a clean end.

    Slurm sends such a signal before a time limit, a terminal that closes SIGHUP; the same command
    resumes the run. Under nohup, SIGHUP stays ignored.

    Attributes:
        received: number of the first signal; None before.
    """

    def __init__(self) -> None:
        self.received: int | None = None
        self._depth = 0
        self._before: dict[signal.Signals, Any] = {}
        self._raises = self._votes = False

    def __enter__(self) -> "StopSignals":
        self._depth += 1
        if self._depth == 1:
            self.received = None
            self._before.clear()
            if threading.current_thread() is threading.main_thread():
                self._install()
        return self

    def __exit__(self, *exc_info: object) -> None:
        self._depth -= 1
        if self._depth == 0:
            for number, handler in self._before.items():
                signal.signal(number, handler)

    def _install(self) -> None:
        for number in STOPPING:
            ignored = signal.getsignal(number) is signal.SIG_IGN
            if not (ignored and number == signal.SIGHUP):
                self._before[number] = signal.signal(number, self._receive)

    def _receive(self, number: int, frame: FrameType | None) -> None:
        if self.received is not None and number == signal.SIGHUP:
            return  # a terminal that closes sends several
        if number == signal.SIGHUP:
            _leave_terminal()
        if self.received is not None:  # the second signal ends the process at once
            before = self._before[signal.Signals(number)]
            if before is signal.SIG_IGN:  # a job in the background ignores Ctrl-C
                is_interrupt = number == signal.SIGINT
                before = signal.default_int_handler if is_interrupt else signal.SIG_DFL
            signal.signal(number, before)
            signal.raise_signal(number)
        self.received = number
        log.warning(
            "%s: will stop as soon as nothing is lost. Send it again to stop now.", self.name
        )
        if self._raises:
            self._raises = False
            raise _Interrupted

    @property
    def name(self) -> str:
        """The name of the signal that was received."""
        return "no signal" if self.received is None else signal.Signals(self.received).name

    @contextlib.contextmanager
    def at_once(self, what: str) -> Iterator[None]:
        """Where one rank works alone: a signal ends the block as Ctrl-C does.

        Raises:
            RunStopped: a signal came, also if it came before.
        """
        try:
            self._raises = True
            if self.received is not None:
                raise _Interrupted
            yield
        except _Interrupted:
            raise self.stopped(what) from None
        finally:
            self._raises = False

    @contextlib.contextmanager
    def together(self, what: str) -> Iterator[None]:
        """Where all ranks work together: they share `wants_stop` and call `stop` at one place.

        Raises:
            RunStopped: the block has called `stop`.
        """
        self._votes = True
        try:
            yield
        except _Interrupted:
            raise self.stopped(what) from None
        finally:
            self._votes = False

    @property
    def wants_stop(self) -> bool:
        """Inside `together`: whether this rank has received a signal."""
        return self._votes and self.received is not None

    def stop(self) -> None:
        """End the block of `together`; call it on all ranks."""
        raise _Interrupted

    def stopped(self, what: str) -> RunStopped:
        """The error that ends a run; `what` was underway."""
        return RunStopped(
            f"Stopped by a signal during {what}. Run the same command to go on; what is finished "
            f"is not done again."
        )


stop_signals = StopSignals()
"""Of this process: signals are a matter of the process as a whole."""


def _leave_terminal() -> None:
    """Drop output to a terminal, which is gone: writing to it would be an error."""
    with open(os.devnull, "wb") as nowhere:
        for stream in (1, 2):
            if stat.S_ISCHR(os.fstat(stream).st_mode):
                os.dup2(nowhere.fileno(), stream)
