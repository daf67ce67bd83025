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
        name = _name_start(store, size, timeout) if rank == 0 else _learn_start(store, rank)
        yield PrefixStore(name, store), rank, size


def _learn_start(store: Store, rank: int) -> str:
    """What rank 0 calls this start. Its answer is to this question, not to that of a dead rank."""
    question = uuid.uuid4().hex
    store.set(f"ask/{rank}", question)
    name = store.get(f"answer/{question}").decode()
    store.add(f"{name}/heard", 1)
    return name


def _name_start(store: Store, size: int, timeout: datetime.timedelta) -> str:
    """Make up a name, and answer the other ranks until all have heard it.

    Raises:
        DistStoreError: they have not in time.
    """
    name, answered = f"start-{uuid.uuid4().hex}", dict[int, bytes]()
    deadline = time.monotonic() + timeout.total_seconds()
    while store.add(f"{name}/heard", 0) < size - 1:
        for rank in range(1, size):
            question = store.get(f"ask/{rank}")
            if answered.get(rank) != question:  # the first may be that of a dead rank
                store.set(f"answer/{question.decode()}", name)
                answered[rank] = question
        if time.monotonic() > deadline:
            raise DistStoreError(f"Of {size} ranks, some did not join within {timeout}.")
        time.sleep(_POLL_SEC)
    return name


register_rendezvous_handler("ganforge", _by_start)  # type: ignore[no-untyped-call]
