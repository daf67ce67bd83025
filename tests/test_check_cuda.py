"""The script for GPU sessions (tests/device/check_cuda.py), at toy sizes on a CPU."""

import importlib.util
import json
import sys
from pathlib import Path

import pytest
import torch
from torch import nn

SCRIPT = Path(__file__).parent / "device" / "check_cuda.py"
HEADER = {"case": "run", "date": "today", "card": "H", "torch": "2"}


@pytest.fixture(scope="module")
def script():
    before = list(sys.path)
    spec = importlib.util.spec_from_file_location("check_cuda", SCRIPT)
    module = importlib.util.module_from_spec(spec)
    sys.modules["check_cuda"] = module
    spec.loader.exec_module(module)
    sys.path[:] = before
    return module


@pytest.fixture
def setup(script, tmp_path):
    return script.Setup("cpu", True, tmp_path)


def test_check_passes_in_a_dry_run_and_fails_when_the_engine_does(script, setup, monkeypatch):
    check = script.CASES["B.nan"].run

    assert [row["ok"] for row in check(setup)] == [True]

    monkeypatch.setattr(script.Stepper, "step", lambda *arguments: script.StepResult())
    assert [row["ok"] for row in check(script.Setup("cpu", True, setup.out / "again"))] == [False]


@pytest.mark.parametrize("name", ["D.r3gan-256-b8.eager", "C.grouped", "E.loader"])
def test_measurements_have_values_in_a_dry_run(script, setup, name):
    rows = list(script.CASES[name].run(setup))

    numbers = [row.get("ms") or row.get("img_per_sec") for row in rows]
    assert rows and all(numbers)
    named = [{"case": name, **row} for row in rows]
    assert f"| {name.removeprefix('D.').partition('.eager')[0]} |" in script.render(
        [HEADER, *named]
    )


def test_noise_is_drawn_on_the_host_whatever_the_device(script):
    torch.manual_seed(0)
    expected = torch.randn(2, 3)
    for draw in (
        lambda: torch.randn(2, 3, device="cpu"),
        lambda: torch.randn_like(torch.ones(2, 3)),
    ):
        torch.manual_seed(0)
        with script.HostNoise():
            assert torch.equal(draw(), expected)
    with script.HostNoise():
        assert torch.randn(2, device="meta").is_meta


def test_differences_of_nan_count_as_infinite(script):
    one = {"a": torch.ones(2), "b": torch.zeros(3)}

    assert script.norm_difference(one, one) == 0
    assert script.norm_difference({**one, "a": torch.full((2,), float("nan"))}, one) == float("inf")


def test_forward_backward_differentiates_at_the_input(script):
    seen = []
    module = nn.Conv2d(1, 1, 1)
    module.register_full_backward_hook(lambda m, inputs, outputs: seen.append(inputs[0].shape))
    script.forward_backward(module, torch.ones(1, 1, 2, 2))()

    assert seen == [(1, 1, 2, 2)]


class Fake:
    """Stands for the script when it runs a case in a process."""

    def __init__(self, script, setup, monkeypatch):
        self.script, self.setup, self.monkeypatch = script, setup, monkeypatch

    def run(self, body, checks=True, left=100.0):
        file = self.setup.out / "fake.py"
        file.write_text(body)
        self.monkeypatch.setattr(self.script, "__file__", str(file))
        table = self.script.Table(self.setup)
        case = self.script.Case("B.fake", None, 5, checks)
        passed = self.script.run_case(case, table, left, {})
        lines = (self.setup.out / "rows.jsonl").read_text().splitlines()
        return passed, [json.loads(line) for line in lines]


@pytest.fixture
def fake(script, setup, monkeypatch):
    return Fake(script, setup, monkeypatch)


def printing(**values):
    return f"print({json.dumps({'case': 'B.fake', **values})!r})\n"


def test_rows_of_a_case_go_to_both_files(fake, setup):
    passed, rows = fake.run("print('noise')\n" + printing(ok=True, apart=1e-7))

    assert passed and rows == [{"case": "B.fake", "ok": True, "apart": 1e-7}]
    assert "| B.fake |  | yes | apart 1e-07 |" in (setup.out / "table.md").read_text()


@pytest.mark.parametrize(
    ("body", "note"),
    [
        (printing(ok=False), None),
        ("", "gave no result"),
        (printing(ok=True) + "raise SystemExit(3)", "ended with status 3"),
        ("raise ValueError('what')", "ended with status 1 ValueError: what"),
    ],
)
def test_checks_fail_unless_all_rows_passed(fake, body, note):
    passed, rows = fake.run(body)

    assert not passed
    assert note is None or (rows[-1]["ok"] is False and rows[-1]["note"] == note)


def test_case_that_is_late_is_stopped_and_keeps_its_rows(fake):
    body = printing(ok=True).replace(")\n", ", flush=True)\n") + "import time\ntime.sleep(60)\n"
    passed, rows = fake.run(body, left=1.0)

    assert not passed and rows[0]["ok"] is True
    assert rows[1] == {"case": "B.fake", "note": "late: stopped after 1 s", "ok": False}


def test_measurements_do_not_decide_the_exit_code(fake):
    assert fake.run("raise ValueError", checks=False)[0]
    passed, rows = fake.run("", checks=False, left=0.5)
    assert passed and rows == [{"case": "B.fake", "note": "not run: no time left"}]
    assert not fake.run("", checks=True, left=0.5)[0]


def test_throughput_stands_beside_what_is_published(script):
    rows = [
        HEADER,
        {"case": "D.stylegan2-256-b16.eager", "form": "eager", "batch": 16, "slots": 1,
         "s_per_kimg": 9.5, "gb": 5.0, "kernels": 900, "busy_percent": 95,
         "need_img_per_sec": 105},
        {"case": "E.loader", "form": "png at 256x256, 8 workers", "img_per_sec": 500, "side": 256},
    ]  # fmt: skip

    line = "| stylegan2-256-b16 | 16 | 1 | eager | 9.5 | 12.53 | 5.0 | 4.5 | 900 | 95 | 105 |"
    assert f"{line} png 500 |" in script.render(rows)


def test_without_a_gpu_nothing_is_checked_and_all_is_well(script, monkeypatch, capsys):
    monkeypatch.setattr("torch.cuda.is_available", lambda: False)
    monkeypatch.setattr(sys, "argv", ["check_cuda.py"])

    assert script.main() == 0
    assert "No CUDA device" in capsys.readouterr().out
