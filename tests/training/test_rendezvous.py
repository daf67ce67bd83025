"""Each start of the processes finds itself in torchrun's store, and nothing of dead ranks."""

import datetime
import signal
import time
from concurrent.futures import ThreadPoolExecutor

import pytest
from torch.distributed import DistStoreError, TCPStore
from torch.distributed.rendezvous import rendezvous

from ganforge.training.rendezvous import INIT_METHOD


@pytest.fixture
def join(monkeypatch):
    """(rank, world_size) -> the store of a rank that torchrun starts."""
    agent = TCPStore("127.0.0.1", 0, is_master=True)  # as of torchrun: outlives the ranks
    variables = {"MASTER_ADDR": "127.0.0.1", "MASTER_PORT": agent.port, "RANK": 0, "WORLD_SIZE": 1}
    for name, value in {**variables, "TORCHELASTIC_USE_AGENT_STORE": True}.items():
        monkeypatch.setenv(name, str(value))

    def joined(rank, world_size, seconds=20):
        timeout = datetime.timedelta(seconds=seconds)
        found = rendezvous(INIT_METHOD, rank=rank, world_size=world_size, timeout=timeout)
        store, *place = next(iter(found))
        assert place == [rank, world_size]
        return store

    joined.agent = agent
    yield joined
    del agent


def start(join, world_size):
    """The stores of all ranks, which join in any order."""
    with ThreadPoolExecutor(world_size) as pool:
        ranks = range(world_size)
        return [*pool.map(join, ranks, [world_size] * world_size)]


def test_ranks_of_one_start_share_their_store(join):
    first, *others = start(join, 3)
    first.set("address", "here")
    assert [store.get("address") for store in others] == [b"here", b"here"]


@pytest.mark.parametrize("sizes", [(1, 1), (2, 2), (1, 2), (2, 1)])
def test_restarted_ranks_do_not_see_what_dead_ones_have_stored(join, sizes):
    before = start(join, sizes[0])
    before[0].set("address", "of the dead")
    again = start(join, sizes[1])
    assert not any(store.check(["address"]) for store in again)
    again[0].set("address", "of the living")
    assert again[-1].get("address") == b"of the living"
    assert before[-1].get("address") == b"of the dead"


def test_question_of_a_rank_that_died_while_it_joined_is_no_obstacle(join):
    with pytest.raises(DistStoreError, match="did not join in time"):
        join(1, 2, seconds=0.2)  # asks, and rank 0 never comes
    assert join.agent.check(["ask/1"])
    first, second = start(join, 2)
    first.set("address", "here")
    assert second.get("address") == b"here"


def test_rank_that_never_joins_ends_the_start(join):
    with pytest.raises(DistStoreError, match="did not join in time"):
        join(0, 2, seconds=0.3)


def test_rank_0_whose_answer_nobody_hears_ends_the_start(join):
    join.agent.set("ask/1", "of the dead")
    with pytest.raises(DistStoreError, match="start all again"):
        join(0, 2, seconds=0.3)
    assert join.agent.check(["answer/of the dead"])


def test_rank_that_waits_for_others_hears_signals(join):
    received = []
    before = signal.signal(signal.SIGALRM, lambda *given: received.append(time.monotonic()))
    try:
        signal.setitimer(signal.ITIMER_REAL, 0.2)
        with pytest.raises(DistStoreError):
            join(1, 2, seconds=2)
    finally:
        signal.signal(signal.SIGALRM, before)
    assert received and time.monotonic() - received[0] > 0.5


def test_ranks_of_torchruns_with_different_counts_of_restarts_meet(join, monkeypatch):
    # A node that joins a running job has made no restarts yet.
    monkeypatch.setenv("TORCHELASTIC_RESTART_COUNT", "2")
    with ThreadPoolExecutor(1) as pool:
        second = pool.submit(join, 1, 2)
        while not join.agent.check(["ask/1"]):
            assert not second.done()
        monkeypatch.setenv("TORCHELASTIC_RESTART_COUNT", "0")
        join(0, 2).set("address", "here")
        assert second.result().get("address") == b"here"
