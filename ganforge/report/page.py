"""The report: one HTML page without links to the network, of one run or of several."""

import functools
import importlib.resources
import importlib.util
import re
from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import jinja2
from markupsafe import Markup

from ganforge import __version__
from ganforge.errors import GanforgeError
from ganforge.io.atomic import write_text
from ganforge.metrics.records import MetricRecord
from ganforge.report import comparison
from ganforge.report.chart_data import chart_data
from ganforge.report.launches import now
from ganforge.report.run_folder import RunFolder, read_run
from ganforge.report.run_view import RunView, view_run
from ganforge.report.words import number

_HIDDEN = ("metric", "name", "value", "lower_is_better")
_BOKEH = ("bokeh.min.js", "bokeh-api.min.js")


def write_report(folders: Sequence[Path], out: Path) -> None:
    """Write the report of one run, or the comparison of several.

    Raises:
        ConfigError: a folder is not that of a run.
        OSError: the file cannot be written.
    """
    write_text(out, render(folders))


def render(folders: Sequence[Path], stamp: str = "") -> str:
    """The page as HTML. With a `stamp` it reloads when the server's stamp is another one."""
    runs = _with_own_names([read_run(folder) for folder in folders])
    views = [view_run(run, index) for index, run in enumerate(runs)]
    data = chart_data(runs)
    stops = sorted({p.kimg for view in views for p in view.pictures if p.kimg is not None})
    for entry, view in zip(data["runs"], views, strict=True):
        entry["pictures"] = [{"kimg": p.kimg, "uri": p.uri} for p in view.pictures]
    return (
        _environment()
        .get_template("page.html.jinja")
        .render(
            title=_title(views),
            runs=views,
            fact_rows=_fact_rows(views),
            has_pictures=bool(stops),
            stops=stops,
            charts=data["charts"],
            metrics=comparison.metric_rows(runs),
            settings=comparison.setting_rows(runs),
            has_machines=any(view.machine for view in views),
            machine_rows=_machine_rows(views),
            version=__version__,
            written=now(),
            data={**data, "stops": stops, "served": bool(stamp), "stamp": stamp},
            css=_asset("page.css"),
            js=_asset("page.js"),
            bokeh=_bokeh() if data["charts"] else "",
        )
    )


def _with_own_names(runs: Sequence[RunFolder]) -> Sequence[RunFolder]:
    """The runs; those that share a name are named by their folders."""
    counts = Counter(run.name for run in runs)
    return [run if counts[run.name] == 1 else run.renamed(str(run.path)) for run in runs]


def _title(views: Sequence[RunView]) -> str:
    return views[0].name if len(views) == 1 else f"{len(views)} runs compared"


def _fact_rows(views: Sequence[RunView]) -> list[tuple[str, list[tuple[str, str]]]]:
    facts = [{name: (value, more) for name, value, more in view.facts} for view in views]
    names = dict.fromkeys(name for found in facts for name in found)
    return [(name, [found.get(name, ("", "")) for found in facts]) for name in names]


def _machine_rows(views: Sequence[RunView]) -> list[tuple[str, list[str]]]:
    names = dict.fromkeys(name for view in views for name in view.machine)
    return [(name, [view.machine.get(name, "") for view in views]) for name in names]


@functools.cache
def _environment() -> jinja2.Environment:
    environment = jinja2.Environment(
        loader=jinja2.FunctionLoader(_text),
        autoescape=True,
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters |= {"num": number, "manner": _manner, "provenance": _provenance}
    return environment


def _manner(record: MetricRecord) -> str:
    """How a number was measured, in a few words."""
    parts = [f"{record.n_gen:,} images"]
    if record.n_real and record.n_real != record.n_gen:
        parts.append(f"{record.n_real:,} real ones")
    if record.extractor:
        parts.append(record.extractor)
    return ", ".join([*parts, *record.caveats])


def _provenance(record: MetricRecord) -> list[tuple[str, Any]]:
    values = record.model_dump(mode="json", exclude=set(_HIDDEN))
    return [(name, value) for name, value in values.items() if value not in (None, "", {}, [])]


def _text(name: str) -> str:
    return importlib.resources.files("ganforge.report").joinpath(name).read_text(encoding="utf-8")


def _asset(name: str) -> Markup:
    return _inline(_text(name))


@functools.cache
def _bokeh() -> Markup:
    """BokehJS. Importing bokeh would take longer than all the rest: only its files are read."""
    found = importlib.util.find_spec("bokeh")
    if found is None or found.origin is None:
        raise GanforgeError("The report needs bokeh, which is not installed: pip install bokeh.")
    folder = Path(found.origin).parent / "server" / "static" / "js"
    return Markup("\n").join(_inline((folder / name).read_text("utf-8")) for name in _BOKEH)


def _inline(text: str) -> Markup:
    """Text of ganforge or of BokehJS, for a script or style element that it must not end."""
    return Markup(re.sub(r"</(?=script|style)", r"<\\/", text, flags=re.IGNORECASE))
