"""`python -m ganforge.run`: what `accelerate launch` and the Slurm scripts start on every rank."""

import sys

from ganforge.pipeline.run import main

if __name__ == "__main__":
    sys.exit(main())
