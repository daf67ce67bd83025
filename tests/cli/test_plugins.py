import json

import pytest

from ganforge.plugin_tools import report


def test_plugins_list_is_a_table(ganforge):
    rows = [line.split() for line in ganforge("plugins", "list").stdout.splitlines()]

    assert ["architecture", "dcgan", "ganforge"] in [row[:3] for row in rows]


def test_plugins_list_json_has_kind_name_and_origin(ganforge):
    printed = json.loads(ganforge("plugins", "list", "--json").stdout)

    found = next(row for row in printed if row["name"] == "r1")
    assert (found["kind"], found["distribution"].split()[0]) == ("regularizer", "ganforge")
    assert found["summary"]


def test_plugins_new_refuses_names_and_folders(ganforge, tmp_path):
    taken, odd = (
        ganforge("plugins", "new", "dcgan", code=2),
        ganforge("plugins", "new", "A B", code=2),
    )

    assert "The name 'dcgan' is taken by an installed plugin or component" in taken.stderr
    assert "'A B' cannot name a plugin: use lower-case letters" in odd.stderr
    (tmp_path / "ganforge-mine" / "x").mkdir(parents=True)
    assert (
        "is not empty. Remove it, or give another --out"
        in ganforge("plugins", "new", "mine", code=2).stderr
    )


@pytest.mark.parametrize("name", ["none", "class", "field", "generator"])
def test_plugins_new_refuses_names_that_python_or_the_template_use(ganforge, tmp_path, name):
    found = ganforge("plugins", "new", name, code=2)

    assert f"Choose another name, e.g. {name}-gan." in found.stderr
    assert not list(tmp_path.iterdir())


def test_plugins_new_into_a_file_is_one_message(ganforge, tmp_path):
    (tmp_path / "file").touch()

    assert (
        "a part of the path is a file"
        in ganforge("plugins", "new", "mine", "--out", "file", code=2).stderr
    )


def test_plugins_check_prints_outcomes_and_fails(ganforge, monkeypatch):
    outcomes = [
        report.Outcome("builds", "x", "passed"),
        report.Outcome("output", "x", "failed", "not in range"),
    ]
    monkeypatch.setattr(report, "check_plugin", lambda name: iter(outcomes))

    assert ganforge("plugins", "check", "x", code=1).stdout.splitlines() == [
        "passed  x: builds",
        "failed  x: output: not in range",
    ]
    assert json.loads(ganforge("plugins", "check", "x", "--json", code=1).stdout) == [
        outcome.to_dict() for outcome in outcomes
    ]


def test_plugins_check_passes_a_sound_component(ganforge):
    assert "passed  loss hinge: is described" in ganforge("plugins", "check", "hinge").stdout


def test_plugins_check_unknown_name_lists_near_ones(ganforge):
    assert "Did you mean 'dcgan'" in ganforge("plugins", "check", "dcgn", code=2).stderr
