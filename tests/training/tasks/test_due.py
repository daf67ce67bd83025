from training.toy import toy_config, toy_run

from ganforge.training.tasks.due import due_every


def test_task_is_due_at_multiples_of_its_interval_and_at_the_end():
    run, due = toy_run(toy_config({"total_kimg": 0.08})), []
    for _ in range(5):  # of 16 images
        run.progress.advance(16)
        due.append(due_every(run, 0.032))
    assert due == [False, True, False, True, True]
