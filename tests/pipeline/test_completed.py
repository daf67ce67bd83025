from ganforge.pipeline.completed import ran_with, remember


def test_stage_ran_with_the_settings_that_were_remembered_and_no_others(tmp_path):
    assert not ran_with(tmp_path, "evaluate", {"seed": 0})
    remember(tmp_path, "evaluate", {"seed": 0, "metrics": ["fid"]})
    assert ran_with(tmp_path, "evaluate", {"metrics": ["fid"], "seed": 0})
    assert not ran_with(tmp_path, "evaluate", {"metrics": ["fid"], "seed": 1})
    assert not ran_with(tmp_path, "publish", {"metrics": ["fid"], "seed": 0})


def test_stage_whose_record_was_cut_short_runs_again(tmp_path):
    remember(tmp_path, "evaluate", {"seed": 0})
    path = tmp_path / ".stages" / "evaluate.json"
    path.write_text(path.read_text()[:5])
    assert not ran_with(tmp_path, "evaluate", {"seed": 0})
