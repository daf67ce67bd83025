from training.toy import advance

from ganforge.training.tasks.evaluate import EvaluateTask


def test_evaluate_task_measures_at_its_interval_but_not_at_the_end(make_run):
    run, measured = make_run(total_kimg=0.064), []
    task = EvaluateTask(lambda run: measured.append(run.progress.nimg), 0.032)
    for _ in range(4):
        advance(run, 1)
        if task.due(run):
            task.run(run)
    assert measured == [32]
