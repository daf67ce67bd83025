"""A restart by torchrun finds nothing of what dead ranks have left in its store."""

import datetime

import pytest
from torch.distributed import TCPStore
from torch.distributed.rendezvous import rendezvous

from ganforge.training.rendezvous import INIT_METHOD


@pytest.fixture
def start(monkeypatch):
    """(number of restarts) -> the store of a rank that torchrun starts, and what it knows."""
    agent = TCPStore("127.0.0.1", 0, is_master=True)  # as of torchrun: outlives the ranks
    variables = {"RANK": 0, "WORLD_SIZE": 1, "MASTER_ADDR": "127.0.0.1", "MASTER_PORT": agent.port}
    for name, value in {**variables, "TORCHELASTIC_USE_AGENT_STORE": True}.items():
        monkeypatch.setenv(name, str(value))

    def started(restarts, **options):
        if restarts is not None:
            monkeypatch.setenv("TORCHELASTIC_RESTART_COUNT", str(restarts))
        timeout = datetime.timedelta(seconds=10)
        return next(iter(rendezvous(INIT_METHOD, timeout=timeout, **options)))

    yield started
    del agent


def test_restarted_ranks_do_not_see_what_dead_ones_have_stored(start):
    store, rank, size = start(0)
    assert (rank, size) == (0, 1)
    store.set("address", "of the dead")
    again, *_ = start(1)
    assert not again.check(["address"])
    again.set("address", "of the living")
    assert store.get("address") == b"of the dead"


def test_ranks_of_one_start_share_their_store(start):
    first, *_ = start(None)  # another launcher says nothing of restarts
    first.set("address", "here")
    second, rank, size = start(None, rank=3, world_size=4)
    assert (rank, size) == (3, 4)
    assert second.get("address") == b"here"
