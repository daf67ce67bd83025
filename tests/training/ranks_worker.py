"""Run by torchrun: train every case of test_ranks.py and let rank 0 write the final state."""

import sys
from pathlib import Path

import safetensors.torch
from training.test_ranks import CASES, train_case

if __name__ == "__main__":
    folder, expected_ranks = Path(sys.argv[1]), int(sys.argv[2])
    for name in CASES:
        run, state = train_case(name)
        assert run.runtime.world_size == expected_ranks
        if run.runtime.is_main:
            safetensors.torch.save_file(state, folder / f"{name}.safetensors")
    run.runtime.any_rank(False)  # no rank leaves before the file is complete
    run.runtime.close()
