"""`python -m ganforge`: the command line, for launchers that start modules."""

from ganforge.cli import main

main(prog_name="ganforge")
