"""Runs whose ranks are forked from a process that has imported everything: a start takes no second.

Each rank has its own session, which its workers share.
"""

import multiprocessing
import os
import socket
import sys
import time


def import_all():
    """Import what runs need, before the first fork."""
    import accelerate.tracking  # noqa: F401
    import torch._dynamo  # noqa: F401

    import ganforge.pipeline.run
    import ganforge.pipeline.stages.train  # noqa: F401
    from ganforge.registry.plugins import get_registry

    get_registry()
    assert ganforge.pipeline.run.main


def start(folder, num_ranks, name, overrides=(), before=lambda: None):
    """Fork the ranks of the run of NAME.yaml in a folder; each calls `before` first."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    context = multiprocessing.get_context("fork")
    ranks = []
    for rank in range(num_ranks):
        group = {"RANK": rank, "LOCAL_RANK": rank, "WORLD_SIZE": num_ranks, "MASTER_PORT": port}
        values = {key: str(value) for key, value in group.items()} if num_ranks > 1 else {}
        ranks.append(
            context.Process(target=_be_rank, args=(folder, values, name, overrides, before))
        )
        ranks[-1].start()
    return ranks


def _be_rank(folder, environment, name, overrides, before):
    os.setsid()
    os.environ.update(environment, MASTER_ADDR="127.0.0.1", GLOO_SOCKET_IFNAME="lo")
    os.chdir(folder)
    output = f"{name}-{environment.get('RANK', 0)}.txt"
    sys.stdout = sys.stderr = open(output, "a")  # noqa: SIM115
    from accelerate.state import AcceleratorState

    from ganforge.pipeline.run import main

    AcceleratorState._reset_state(reset_partial_state=True)  # of earlier tests, which had one rank
    before()
    code = main([f"{name}.yaml", *overrides])
    sys.stderr.flush()
    os._exit(code)


def wait_for(path, rank, seconds=240):
    """Wait for a running rank to write a file."""
    deadline = time.monotonic() + seconds
    while not path.exists():
        assert rank.is_alive()
        assert time.monotonic() < deadline, f"{path} did not appear"
        time.sleep(0.005)


def end(ranks, seconds=240):
    """Wait for the ranks; their exit codes."""
    for rank in ranks:
        rank.join(seconds)
    return [rank.exitcode for rank in ranks]


def said(folder, name):
    """The last lines of each rank of all runs of NAME.yaml."""
    return "\n".join(path.read_text()[-2000:] for path in sorted(folder.glob(f"{name}-*.txt")))
