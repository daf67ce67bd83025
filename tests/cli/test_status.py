import json

from click.testing import CliRunner
from report.runs import write_run

from ganforge.cli import main


def run(*arguments):
    return CliRunner().invoke(main, ["status", *map(str, arguments)])


def test_status_shows_the_progress_first(tmp_path):
    done = run(write_run(tmp_path / "run"))
    assert done.exit_code == 0
    assert done.output.splitlines()[0] == "tiny: finished, 4 of 4 kimg (100%)"


def test_status_as_json_is_one_object(tmp_path):
    found = json.loads(run(write_run(tmp_path / "run"), "--json").output)
    assert (found["name"], found["state"], found["img_per_sec"]) == ("tiny", "finished", 100.0)


def test_status_of_no_run_is_one_message(tmp_path):
    done = run(tmp_path)
    assert done.exit_code == 2
    assert "is not the folder of a run" in done.output
