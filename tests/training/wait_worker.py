"""Run by torchrun: rank 0 is busy for longer than a collective may take, then lost in one."""

import datetime
import sys
import time

from ganforge.errors import DataError
from ganforge.training import runtime as module

if __name__ == "__main__":
    module._TIMEOUT = datetime.timedelta(seconds=2)
    module._POLL_EVERY = datetime.timedelta(seconds=0.5)
    runtime = module.Runtime()

    def work():
        time.sleep(3)
        return "result"

    def fail():
        time.sleep(3)
        raise DataError("no images")

    assert runtime.on_main(work) == "result"
    try:
        runtime.on_main(fail)
    except DataError as err:
        sys.stdout.write(f"rank {runtime.rank}: {err}\n")
    sys.stdout.flush()
    if runtime.is_main:
        time.sleep(60)
    runtime.any_rank(False)
