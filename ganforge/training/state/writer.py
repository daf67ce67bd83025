"""A thread that writes files while training goes on."""

import logging
import threading
from collections.abc import Callable

log = logging.getLogger(__name__)


class Writer:
    """Runs one write at a time beside the training; its error is raised where it is waited for.

    The thread ends with the process: what is to be complete must be waited for.
    """

    def __init__(self) -> None:
        self._thread: threading.Thread | None = None
        self._error: Exception | None = None

    def start(self, write: Callable[[], None]) -> None:
        """Begin a write, after the one that is underway.

        Raises:
            Exception: what the one before raised.
        """
        self.wait()
        self._thread = threading.Thread(
            target=self._run, args=(write,), name="ganforge-writer", daemon=True
        )
        self._thread.start()

    @property
    def has_ended(self) -> bool:
        """Whether a write has ended that nobody has waited for yet."""
        return self._thread is not None and not self._thread.is_alive()

    def wait(self) -> None:
        """Until nothing is being written.

        Raises:
            Exception: what the write raised; once.
        """
        if self._thread is not None:
            self._thread.join()
            self._thread = None
        error, self._error = self._error, None
        if error is not None:
            raise error

    def close(self) -> None:
        """Wait as `wait` does, where another error may be on its way: this one is only logged."""
        try:
            self.wait()
        except Exception:  # noqa: BLE001  # the one on its way matters more
            log.exception("A file could not be written.")

    def _run(self, write: Callable[[], None]) -> None:
        try:
            write()
        except Exception as err:  # noqa: BLE001  # raised in the thread that waits
            self._error = err
