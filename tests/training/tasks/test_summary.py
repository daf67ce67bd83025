"""A run says at its end what it has learnt: first and last numbers, and its alarms."""

from ganforge.training.tasks.summary import summarize

LOG = [
    {"nimg": 500, "kimg": 0.5},
    {"nimg": 1000, "samples/diversity": 0.05, "samples/coverage": 0.125, "alarms": []},
    {"nimg": 2000, "alarms": [{"kind": "discriminator_wins", "fault": "", "advice": ""}]},
    {"nimg": 20000, "samples/diversity": 0.93, "samples/coverage": 1.0, "alarms": []},
]


def measured(nimg, name, value):
    return {"nimg": nimg, "name": name, "value": value}


def test_summary_shows_first_and_last_samples_and_all_alarms():
    assert summarize(LOG, [], 20.0) == [
        "Samples (1.0 to 20.0 kimg): diversity 0.05 -> 0.93 (goal 1), mode coverage 0.12 -> 1.00 "
        "(goal 1).",
        "Alarms: discriminator_wins at 2.0 kimg.",
    ]


def test_summary_names_copies_where_they_were_looked_for():
    log = [record | {"samples/copies": 0.25} for record in LOG]
    line = summarize(log[1::2], [], 20.0)[0]
    assert line.endswith("copies of training images 0.25 -> 0.25 (goal 0).")


def test_summary_shows_metrics_that_were_measured_more_than_once():
    metrics = [
        measured(5000, "fid", 210.34),
        measured(5000, "is", 1.5),
        measured(20000, "fid", 35.2),
        measured(20000, "kid", 0.1),
    ]
    line = summarize([], metrics, 20.0)[0]
    assert line == "Metrics (5.0 to 20.0 kimg): fid 210.3 -> 35.2."


def test_summary_of_a_run_without_samples_or_metrics_says_that_no_alarm_sounded():
    assert summarize([{"nimg": 16, "alarms": []}], [], 20.0) == ["Alarms: none."]
