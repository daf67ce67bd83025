import re
import subprocess
import sys

import pytest
from report.runs import write_lines, write_run, write_spec

from ganforge.errors import ConfigError, GanforgeError
from ganforge.report import page
from ganforge.report.page import render, write_report


def test_render_holds_no_address_to_load_from(tmp_path):
    text = render([write_run(tmp_path / "run", num_pictures=1)])
    assert not re.findall(r"""(?:src|href)=["'](?!data:)[^"']""", text.replace(page._bokeh(), ""))
    assert "connect-src 'self'" in text


def test_render_escapes_what_a_run_says(tmp_path):
    folder = write_run(tmp_path / "run", num_pictures=1)
    script = "</script><script>alert(1)</script>"
    write_spec(folder, class_names=[script])
    (folder / "config.yaml").write_text(
        f"name: '{script}'\ndescription: '{script}'\ntrain: {{sample_grid: [2, 2]}}\n"
    )
    alarm = {"kimg": 1.0, "alarm": script, "message": script}
    write_lines(folder / "log.jsonl", [{"kimg": 1.0, script: 1.0}, alarm])
    write_lines(folder / "launches.jsonl", [{"started": script, "machine": {script: script}}])
    text = render([folder])
    assert "alert(1)</script>" not in text
    assert text.count("</script>") == 4


def test_render_without_records_leaves_bokeh_out(tmp_path):
    text = render([write_run(tmp_path / "run", lines=[])])
    assert len(text) < 50_000
    assert "The folder holds no log records" in text


def test_render_of_damaged_files_says_so(tmp_path):
    folder = write_run(tmp_path / "run")
    (folder / "log.jsonl").write_bytes(b"\x00\xff\n{}\n")
    (folder / "config.yaml").write_text("[")
    text = render([folder])
    assert "log.jsonl: 1 damaged lines are left out." in text
    assert "config.yaml is not valid YAML" in text


def test_render_runs_of_one_name_are_named_by_their_folders(tmp_path):
    first, second = write_run(tmp_path / "a"), write_run(tmp_path / "b")
    text = render([first, second])
    assert "2 runs compared" in text
    assert f"{first}</th>" in text and f"{second}</th>" in text


def test_render_without_bokeh_says_what_to_install(tmp_path, monkeypatch):
    page._bokeh.cache_clear()
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None)
    with pytest.raises(GanforgeError, match="pip install bokeh"):
        render([write_run(tmp_path / "run")])


def test_write_report_of_no_run_writes_nothing(tmp_path):
    with pytest.raises(ConfigError):
        write_report([tmp_path], tmp_path / "report.html")
    assert not (tmp_path / "report.html").exists()


def test_report_and_status_import_neither_torch_nor_bokeh():
    code = (
        "import sys, ganforge.report.page, ganforge.report.server, ganforge.report.status;"
        "print(sorted({'torch', 'bokeh', 'numpy', 'pandas'} & set(sys.modules)))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"
