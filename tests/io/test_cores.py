from ganforge.io.cores import own_cores


def test_cores_are_the_share_of_this_rank_unless_they_are_set(monkeypatch):
    monkeypatch.delenv("GANFORGE_NUM_THREADS", raising=False)
    monkeypatch.setattr("os.sched_getaffinity", lambda pid: set(range(8)))
    monkeypatch.setenv("LOCAL_WORLD_SIZE", "3")
    assert own_cores() == 2
    monkeypatch.setenv("LOCAL_WORLD_SIZE", "16")
    assert own_cores() == 1
    monkeypatch.setenv("GANFORGE_NUM_THREADS", "5")
    assert own_cores() == 5
