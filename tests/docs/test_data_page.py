"""The report of docs/data.md is what `ganforge data inspect` prints."""

import runpy
from pathlib import Path

import pytest
from click.testing import CliRunner

from ganforge.cli import main
from ganforge.imaging.codec import HAS_AVIF

PAGE = Path(__file__).parents[2] / "docs" / "data.md"


@pytest.mark.skipif(not HAS_AVIF, reason="the report of the page is of a Pillow that reads AVIF")
def test_report_of_the_page_is_what_inspect_prints(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    num_files = runpy.run_path(str(Path(__file__).with_name("filthy_folder.py")))["make"](
        Path("photos")
    )
    assert num_files >= 60
    result = CliRunner().invoke(main, ["data", "inspect", "photos"])
    assert result.exit_code == 0
    assert f"```text\n{result.stdout}```" in PAGE.read_text(encoding="utf-8")
