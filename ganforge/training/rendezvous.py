"""How the processes of a run find each other: through the launcher's store, anew at each start.

torchrun keeps its store when it starts all processes again. What dead ranks have left there, such
as their addresses, would be read by living ones that come before it is overwritten. So each start
has its part of the store, under a name that rank 0 makes up. torchrun's count of restarts would not
do: each node has its count, and that of a node which joins later starts at 0.
"""

import datetime
import time
import uuid
from collections.abc import Iterator
from typing import Any

from torch.distributed import DistStoreError, PrefixStore, Store  # type: ignore[attr-defined]
from torch.distributed.rendezvous import register_rendezvous_handler, rendezvous

INIT_METHOD = "ganforge://"
"""As `env://`, for `torch.distributed.init_process_group`; each start has its part of the store."""

_TIMEOUT = datetime.timedelta(minutes=30)
_POLL_SEC = 0.02


def _by_start(url: str, **options: Any) -> Iterator[tuple[Store, int, int]]:
    timeout: datetime.timedelta = options.get("timeout", _TIMEOUT)
    for store, rank, size in rendezvous(f"env://?{url.partition('?')[2]}", **options):
        store.set_timeout(timeout)
        deadline = time.monotonic() + timeout.total_seconds()
        if rank == 0:
            name = _name_start(store, size, deadline)
        else:
            name = _learn_start(store, rank, deadline)
        yield PrefixStore(name, store), rank, size


def _learn_start(store: Store, rank: int, deadline: float) -> str:
    """What rank 0 calls this start. Its answer is to this question, not to that of a dead rank."""
    question = uuid.uuid4().hex
    store.set(f"ask/{rank}", question)
    name = _wait_for(store, f"answer/{question}", deadline).decode()
    store.add(f"{name}/heard", 1)
    return name


def _name_start(store: Store, size: int, deadline: float) -> str:
    """Make up a name, and answer the other ranks until all have heard it."""
    name, answered = f"start-{uuid.uuid4().hex}", dict[int, bytes]()
    while store.add(f"{name}/heard", 0) < size - 1:
        for rank in range(1, size):
            question = _wait_for(store, f"ask/{rank}", deadline)
            if answered.get(rank) != question:  # the first may be that of a dead rank
                store.set(f"answer/{question.decode()}", name)
                answered[rank] = question
        _pause(deadline)
    return name


def _wait_for(store: Store, key: str, deadline: float) -> bytes:
    """The value of a key, when another rank has set it.

    Not by `Store.get`, in which a process hears no signals.
    """
    while not store.check([key]):
        _pause(deadline)
    return store.get(key)


def _pause(deadline: float) -> None:
    if time.monotonic() > deadline:
        raise DistStoreError(
            "Some ranks did not join in time. Look in the launcher's log for ranks that ended, and "
            "start all again."
        )
    time.sleep(_POLL_SEC)


register_rendezvous_handler("ganforge", _by_start)  # type: ignore[no-untyped-call]
