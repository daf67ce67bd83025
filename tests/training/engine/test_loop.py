"""The loop runs tasks that are due, and those that any rank wants; the latter change nothing."""

from training.toy import toy_config, toy_run, train_toy

from ganforge.training.engine.loop import StopTraining, Task


class Wanting(Task):
    """Is wanted after these steps and due after those."""

    def __init__(self, wanted=(), due=()):
        self.at, self.due_at, self.ran = wanted, due, []

    def due(self, run):
        return run.progress.step in self.due_at

    def wanted(self, run):
        return run.progress.step in self.at

    def run(self, run):
        self.ran.append(run.progress.step)


def short_run():
    return toy_run(toy_config({"total_kimg": 0.08}))  # five steps


def test_loop_runs_a_task_that_is_wanted_or_due_once_a_step():
    task = Wanting(wanted=(2, 4), due=(2, 3))
    train_toy(short_run(), [task])
    assert task.ran == [2, 3, 4]


def test_loop_ends_at_the_edge_of_the_step_in_which_a_task_wants_it():
    class Stop(Wanting):
        def run(self, run):
            raise StopTraining("enough")

    run, later = short_run(), Wanting(due=range(9))
    train_toy(run, [Stop(wanted=(3,)), later])
    assert run.progress.step == 3 and later.ran == [1, 2]
