"""Serves a report to browsers on this machine, current at each request."""

import errno
import html
from collections.abc import Sequence
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

from ganforge.errors import ConfigError, GanforgeError
from ganforge.report.page import render
from ganforge.report.run_folder import read_run

_HOST = "127.0.0.1"
_WATCHED = ("config.yaml", "log.jsonl", "metrics.jsonl", "launches.jsonl", "samples", "export", ".")


class ReportServer(ThreadingHTTPServer):
    """A server of one page, on the loopback interface only."""

    daemon_threads = True

    def __init__(self, runs: Sequence[Path], port: int) -> None:
        super().__init__((_HOST, port), _Handler)
        self.runs = runs

    @property
    def url(self) -> str:
        """Address of the page."""
        return f"http://{_HOST}:{self.server_port}/"

    def stamp(self) -> str:
        """Changes whenever a run has written something that the page shows."""
        files = (run / name for run in self.runs for name in _WATCHED)
        return "-".join(str(f.stat().st_mtime_ns) for f in files if f.exists())


def report_server(runs: Sequence[Path], port: int) -> ReportServer:
    """A server for the report of these runs; `serve_forever` answers requests.

    Raises:
        ConfigError: a folder is not that of a run, or the port is in use.
    """
    for run in runs:
        read_run(run)
    try:
        return ReportServer(runs, port)
    except OSError as err:
        if err.errno not in (errno.EADDRINUSE, errno.EACCES):
            raise
        raise ConfigError(
            f"Cannot serve on port {port}: {err.strerror}. Choose another with --port, 0 for any."
        ) from err


class _Handler(BaseHTTPRequestHandler):
    server: ReportServer

    def do_GET(self) -> None:
        # A foreign page must not read the report by a name that resolves to this machine.
        if self.headers.get("Host", "").rpartition(":")[0] not in (_HOST, "localhost"):
            self._answer(403, "text/plain", "Open the address that the command prints.")
        elif self.path == "/stamp":
            self._answer(200, "text/plain", self.server.stamp())
        elif self.path == "/":
            self._page()
        else:
            self._answer(404, "text/plain", "There is only the page /.")

    def _page(self) -> None:
        stamp = self.server.stamp()
        try:
            self._answer(200, "text/html", render(self.server.runs, stamp))
        except (GanforgeError, OSError) as err:
            self._answer(500, "text/html", f"<p>{html.escape(str(err))}</p>")

    def _answer(self, status: int, kind: str, text: str) -> None:
        content = text.encode()
        self.send_response(status)
        self.send_header("Content-Type", f"{kind}; charset=utf-8")
        self.send_header("Content-Length", str(len(content)))
        self.send_header("Cache-Control", "no-store")
        self.end_headers()
        self.wfile.write(content)

    def log_message(self, format: str, *args: object) -> None:
        """Say nothing of each request."""
