"""`python -m ganforge.run`: what `accelerate launch` and the Slurm scripts start on every rank."""

import sys

from ganforge.training.cpu.threads import limit_spinning
from ganforge.training.signals import ended_by_signals

if __name__ == "__main__":
    with ended_by_signals():
        limit_spinning()
        from ganforge.pipeline.run import main  # imports torch, which reads the environment

        sys.exit(main())
