"""log.jsonl survives kills, and goes back to a checkpoint."""

import json

from ganforge.training.tasks.json_lines import JsonLines


def test_json_lines_drop_what_a_resumed_run_repeats(tmp_path):
    lines = JsonLines(tmp_path / "log.jsonl")
    for nimg in (10, 20, 30):
        lines.append({"nimg": nimg, "loss": float("nan")})
    with lines.path.open("a") as file:
        file.write('{"nimg": 4')  # cut short by a kill
    lines.append({"nimg": 20, "loss": 1.0})  # on a line of its own
    assert [record["nimg"] for record in lines.read()] == [10, 20, 30, 20]
    lines.drop_after(20)
    kept = [json.loads(line) for line in lines.path.read_text().splitlines()]
    records = [(10, None), (20, None), (20, 1.0)]
    assert kept == [{"nimg": nimg, "loss": loss} for nimg, loss in records]


def test_json_lines_without_a_file_are_empty(tmp_path):
    lines = JsonLines(tmp_path / "log.jsonl")
    lines.drop_after(3)
    assert lines.read() == [] and not lines.path.exists()
