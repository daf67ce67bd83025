import pytest
from click.testing import CliRunner
from report.runs import write_run

from ganforge.cli import main


def run(*arguments):
    return CliRunner().invoke(main, ["report", *map(str, arguments)])


def test_report_of_one_run_is_written_to_its_folder(tmp_path):
    folder = write_run(tmp_path / "run")
    done = run(folder)
    assert (done.exit_code, done.output) == (0, f"{folder}/report.html\n")
    assert "<title>tiny</title>" in (folder / "report.html").read_text()


def test_report_of_several_runs_is_a_comparison(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    folders = [write_run(tmp_path / name, name=name) for name in "ab"]
    assert run(*folders).output == "comparison.html\n"
    assert "2 runs compared" in (tmp_path / "comparison.html").read_text()
    assert run(*folders, "--out", tmp_path / "x" / "y.html").exit_code == 0
    assert (tmp_path / "x" / "y.html").exists()


def test_report_of_no_run_is_one_message(tmp_path):
    done = run(tmp_path / "absent")
    assert done.exit_code == 2
    assert done.output.startswith(f"Error: There is no folder {tmp_path}/absent.")


def test_report_serve_opens_the_page_and_ends_with_ctrl_c(tmp_path, monkeypatch):
    opened = []
    monkeypatch.setattr("webbrowser.open", opened.append)

    def interrupt(server):
        raise KeyboardInterrupt

    monkeypatch.setattr("ganforge.report.server.ReportServer.serve_forever", interrupt)
    done = run(write_run(tmp_path / "run"), "--serve", "--port", "0")
    assert done.exit_code == 0
    assert opened[0].startswith("http://127.0.0.1:")
    assert opened[0] in done.output


@pytest.mark.parametrize("port", ["-1", "65536"])
def test_report_refuses_ports_that_do_not_exist(tmp_path, port):
    assert run(tmp_path, "--port", port).exit_code == 2
