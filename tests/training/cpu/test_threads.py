import subprocess
import sys

import pytest

from ganforge.training.cpu.threads import SPIN_COUNT, limit_spinning


@pytest.mark.parametrize(
    ("given", "expected"),
    [
        ({}, {"GOMP_SPINCOUNT": str(SPIN_COUNT)}),
        ({"GOMP_SPINCOUNT": "7"}, {"GOMP_SPINCOUNT": "7"}),
        ({"OMP_WAIT_POLICY": "ACTIVE"}, {"OMP_WAIT_POLICY": "ACTIVE"}),
    ],
    ids=["nothing set", "spin count set", "policy set"],
)
def test_limit_spinning_leaves_what_the_user_sets(given, expected):
    environ = dict(given)

    limit_spinning(environ)

    assert environ == expected


@pytest.mark.parametrize("module", ["ganforge", "ganforge.run"])
def test_program_limits_spinning_before_torch_is_loaded(module):
    """Of what a command imports, the first look at torch finds the variable set."""
    code = f"""
import os, runpy, sys
class Finder:
    def find_spec(self, name, path=None, target=None):
        if name == "torch":
            print(os.environ.get("GOMP_SPINCOUNT"))
            os._exit(0)
sys.meta_path.insert(0, Finder())
sys.argv = ["ganforge"] + ["run"] * ({module!r} == "ganforge") + ["quickstart"]
runpy.run_module({module!r}, run_name="__main__")
"""
    environ = {"PYTHONUNBUFFERED": "1", "PYTHONPATH": ":".join(sys.path)}

    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, env=environ)

    assert done.stdout == f"{SPIN_COUNT}\n", done.stderr
