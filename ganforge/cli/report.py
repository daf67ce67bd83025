"""`ganforge report`."""

import contextlib
import webbrowser
from pathlib import Path

import click


@click.command(epilog="Example: ganforge report runs/quickstart runs/hinge --out comparison.html")
@click.argument("runs", nargs=-1, required=True, type=click.Path(path_type=Path))
@click.option(
    "--out", type=click.Path(path_type=Path),
    help="File to write. Default: report.html in the folder of a run, comparison.html of several.",
)  # fmt: skip
@click.option("--serve", is_flag=True, help="Show the report in a browser, and keep it current.")
@click.option(
    "--port", default=8765, show_default=True, type=click.IntRange(0, 65535),
    help="Port of --serve on this machine; 0 for any free one.",
)  # fmt: skip
def report(runs: tuple[Path, ...], out: Path | None, serve: bool, port: int) -> None:
    """Write a page with the numbers, charts, pictures and settings of the folders RUNS.

    Several runs are compared. The page is one HTML file that needs no network.
    """
    from ganforge.report.page import write_report
    from ganforge.report.server import report_server

    if not serve:
        path = out or (runs[0] / "report.html" if len(runs) == 1 else Path("comparison.html"))
        write_report(runs, path)
        click.echo(path)
        return
    with report_server(runs, port) as server:
        click.echo(f"{server.url} shows the report; Ctrl-C ends.")
        webbrowser.open(server.url)
        with contextlib.suppress(KeyboardInterrupt):
            server.serve_forever()
