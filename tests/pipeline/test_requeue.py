"""A job is started again after a stop or a fault, as long as there is progress."""

import json

import pytest

from ganforge.errors import ConfigError
from ganforge.pipeline.requeue import judge, max_requeues


def checkpoint(run_dir, nimg):
    (run_dir / "checkpoints" / f"nimg-{nimg:09d}").mkdir(parents=True)


def verdicts(run_dir, *statuses, job="7", limit=2):
    return [judge(status, run_dir, job, limit).again for status in statuses]


def test_job_without_progress_starts_again_so_many_times(tmp_path):
    checkpoint(tmp_path, 100)
    assert verdicts(tmp_path, 1, 137, 1, 1) == [True, True, True, False]
    verdict = judge(1, tmp_path, "7", 2)
    assert not verdict.again and "2 starts have brought no progress beyond nimg-0000001" in (
        verdict.reason
    )


def test_job_with_a_newer_checkpoint_counts_anew(tmp_path):
    checkpoint(tmp_path, 100)
    assert verdicts(tmp_path, 1, 1, limit=1) == [True, True]
    checkpoint(tmp_path, 200)
    assert verdicts(tmp_path, 1, 1, 1, limit=1) == [True, True, False]


def test_job_that_was_submitted_again_counts_anew(tmp_path):
    checkpoint(tmp_path, 100)
    assert verdicts(tmp_path, 1, 1, limit=0) == [True, False]
    assert verdicts(tmp_path, 1, job="8", limit=0) == [True]


@pytest.mark.parametrize(
    ("status", "reason"), [(2, "would come again"), (1, "before its first checkpoint")]
)
def test_job_whose_fault_a_new_start_repeats_is_over(tmp_path, status, reason):
    if status == 2:
        checkpoint(tmp_path, 100)
    verdict = judge(status, tmp_path, "7", 3)
    assert not verdict.again and reason in verdict.reason


def test_job_that_was_stopped_before_its_first_checkpoint_starts_again(tmp_path):
    assert verdicts(tmp_path, 75, 75, 75, limit=1) == [True, True, False]


def test_finished_part_of_a_stage_is_progress(tmp_path):
    checkpoint(tmp_path, 100)
    assert verdicts(tmp_path, 75, 75, limit=0) == [True, False]
    (tmp_path / ".stages").mkdir()
    (tmp_path / ".stages" / "evaluate-parts.json").write_text("{}")
    assert verdicts(tmp_path, 75, limit=0) == [True]


def test_samples_that_prepare_has_encoded_are_progress(tmp_path):
    spool = tmp_path / ".shards.spool" / "main.spool"
    spool.parent.mkdir()
    for again in (True, False, True, False):
        if again:
            with spool.open("ab") as file:
                file.write(b"sample")
        assert verdicts(tmp_path, 75, limit=0) == [again]


@pytest.mark.parametrize("text", ["", "[]", json.dumps({"job": "7"})])
def test_damaged_count_starts_at_zero(tmp_path, text):
    checkpoint(tmp_path, 100)
    (tmp_path / ".requeue.json").write_text(text)
    assert verdicts(tmp_path, 1, limit=0) == [True]


def test_max_requeues_is_read_from_the_environment():
    assert max_requeues({}) == 3
    assert max_requeues({"GANFORGE_MAX_REQUEUES": "0"}) == 0
    with pytest.raises(ConfigError, match="GANFORGE_MAX_REQUEUES is '-1'"):
        max_requeues({"GANFORGE_MAX_REQUEUES": "-1"})
