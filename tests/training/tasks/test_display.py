"""Progress is shown as a bar on a terminal, else as plain lines, and by rank 0 only."""

import io

import pytest
from rich.console import Console

from ganforge.training.tasks.display import Display, describe

RECORD = {"img_per_sec": 200.4, "loss/generator/adversarial": 0.7, "loss/generator/r1": 0.05}


def test_describe_shows_speed_and_short_names_of_losses():
    line = describe({**RECORD, "lr/generator": 1.0})
    assert line == "200 img/s  generator 0.700  generator/r1 0.050"
    assert describe({"img_per_sec": 0.159}).startswith("0.16 img/s")


def test_display_without_a_terminal_logs_a_line_with_the_time_left(caplog):
    caplog.set_level("INFO")
    with Display(26.0, enabled=True) as display:
        display.update(1.5, RECORD, 122.4)
        display.update(2.0, RECORD, None)
    first, second = caplog.messages
    assert first.startswith("1.5/26 kimg  ETA 2:02  200 img/s")
    assert second.startswith("2.0/26 kimg  ETA -  200 img/s")


def test_display_of_a_tiny_run_shows_its_progress(caplog):
    caplog.set_level("INFO")
    with Display(0.04, enabled=True) as display:
        display.update(0.032, RECORD, 1.0)
    assert caplog.messages[0].startswith("0.032/0.04 kimg")


def test_display_of_other_ranks_shows_nothing(caplog):
    caplog.set_level("INFO")
    with Display(26.0, enabled=False) as display:
        display.update(1.5, RECORD, 1.0)
        display.say("200 img/s")
    assert not caplog.messages


@pytest.fixture
def terminal(monkeypatch):
    screen, console = io.StringIO(), Console
    monkeypatch.setattr(
        "rich.console.Console", lambda stderr: console(file=screen, force_terminal=True, width=120)
    )
    return screen


def test_display_on_a_terminal_draws_a_bar_and_logs_no_line(terminal, caplog):
    caplog.set_level("INFO")
    with Display(26.0, enabled=True) as display:
        display.update(13.0, RECORD, 3725.0)
    shown = terminal.getvalue()
    assert "13.0/26 kimg" in shown and "200 img/s" in shown and "ETA 1:02:05" in shown
    assert not caplog.messages
