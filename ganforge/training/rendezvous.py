"""How the processes of a run find each other: through the launcher's store, anew after a restart.

torchrun keeps its store when it starts all processes again. What dead ranks have left there, such
as their addresses, would be read by living ones that come before it is overwritten: they could not
connect, and the next restart was spent.
"""

import os
from collections.abc import Iterator
from typing import Any

from torch.distributed import PrefixStore, Store  # type: ignore[attr-defined]
from torch.distributed.rendezvous import register_rendezvous_handler, rendezvous

INIT_METHOD = "ganforge://"
"""As `env://`, for `torch.distributed.init_process_group`; each start has its part of the store."""


def _by_start(url: str, **options: Any) -> Iterator[tuple[Store, int, int]]:
    restarts = os.environ.get("TORCHELASTIC_RESTART_COUNT", "0")
    for store, rank, size in rendezvous(f"env://?{url.partition('?')[2]}", **options):
        yield PrefixStore(f"start-{restarts}", store), rank, size


register_rendezvous_handler("ganforge", _by_start)  # type: ignore[no-untyped-call]
