from ganforge.training.tasks.alarms import Alarm, as_records, warn_of

ALARM = Alarm("collapse", "All alike.", "Go back.")


def test_alarms_are_warnings_that_say_when_what_and_what_to_do(make_run, caplog):
    caplog.set_level("WARNING")
    run = make_run(total_kimg=0.5)
    run.progress.advance(32)
    warn_of(run, [ALARM])
    assert caplog.messages == ["At 0.032 kimg: All alike. Go back."]


def test_alarms_in_a_record_are_a_list_that_a_reader_can_show():
    assert as_records([ALARM]) == [
        {"kind": "collapse", "fault": "All alike.", "advice": "Go back."}
    ]
    assert as_records([]) == []
