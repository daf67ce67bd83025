import json

from ganforge.report.launches import append, now, pair_up


def test_pair_up_gives_each_start_its_end():
    killed, stopped = {"started": "1"}, {"started": "2", "overrides": ["a=1"]}
    end = {"ended": "3", "outcome": "stopped", "message": "a signal"}
    first, second = pair_up([killed, stopped, end])
    assert (first.outcome, first.message, first.end) == ("", "", {})
    assert (second.outcome, second.message) == ("stopped", "a signal")
    assert second.texts("overrides") == ["a=1"]


def test_pair_up_an_end_without_a_start_is_left_out():
    assert pair_up([{"ended": "3"}]) == []


def test_facts_of_another_type_are_empty():
    (launch,) = pair_up([{"started": "1", "machine": {"cores": 2}, "versions": "1", "changes": 3}])
    assert launch.facts("machine") == {"cores": "2"}
    assert launch.facts("versions") == {}
    assert launch.texts("changes") == []


def test_now_states_the_zone():
    assert now().endswith("+00:00")


def test_append_keeps_what_was_there(tmp_path):
    (tmp_path / "launches.jsonl").write_bytes(b"\xff\n")
    append(tmp_path, {"started": "1"})
    append(tmp_path, {"ended": "2"})
    lines = (tmp_path / "launches.jsonl").read_text().splitlines()
    assert [json.loads(line) for line in lines[1:]] == [{"started": "1"}, {"ended": "2"}]
