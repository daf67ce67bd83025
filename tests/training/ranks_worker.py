"""Run by torchrun: train every case of test_ranks.py and let rank 0 write the final state.

Each rank also writes the step at which it did what only the last rank wanted, how it summed
gradients, how it ended when only the last rank met a NaN, how often it read the index, and what it
gathered.
"""

import json
import sys
from pathlib import Path

import safetensors.torch
from training import shared_index
from training.engine import gradient_cases
from training.test_ranks import CASES, compare_weights, heard_at, stopped_by_nan, train_case
from training.test_runtime import gather

if __name__ == "__main__":
    folder, expected_ranks = Path(sys.argv[1]), int(sys.argv[2])
    for name in CASES:
        run, state = train_case(name)
        assert run.runtime.world_size == expected_ranks
        if run.runtime.is_main:
            safetensors.torch.save_file(state, folder / f"{name}.safetensors")
    (folder / f"heard-{run.runtime.rank}.json").write_text(json.dumps(heard_at()))
    summed = {n: gradient_cases.compare(run.runtime, d) for n, d in gradient_cases.CASES.items()}
    (folder / f"gradients-{run.runtime.rank}.json").write_text(json.dumps(summed))
    (folder / f"nan-{run.runtime.rank}.json").write_text(
        json.dumps(stopped_by_nan(run.runtime.rank))
    )
    (folder / f"weights-{run.runtime.rank}.json").write_text(json.dumps(compare_weights(folder)))
    (folder / f"reads-{run.runtime.rank}.json").write_text(
        json.dumps(shared_index.count_reads(run.runtime, folder))
    )
    (folder / f"gather-{run.runtime.rank}.json").write_text(json.dumps(gather(run.runtime)))
    run.runtime.any_rank(False)  # no rank leaves before the file is complete
    run.runtime.close()
