import ast
import subprocess
import sys
from pathlib import Path

import pytest

from ganforge import api


def test_api_imports_the_names_that_type_checkers_see():
    block = next(
        node for node in ast.parse(Path(api.__file__).read_text()).body if isinstance(node, ast.If)
    )
    seen = {(line.module, alias.asname) for line in block.body for alias in line.names}

    assert {(module, name) for module, names in api._HOMES.items() for name in names} == seen


def test_api_has_every_name_that_it_lists():
    assert all(getattr(api, name) is not None for name in dir(api))


def test_api_without_a_name_says_so():
    with pytest.raises(ImportError, match="cannot import name 'Architectur' from 'ganforge.api'"):
        from ganforge.api import Architectur  # noqa: F401


def test_api_names_of_a_data_source_import_no_torch():
    names = "ComponentOptions, DataError, Field, Frames, Sample, Source, hookimpl"
    code = f"import sys; from ganforge.api import {names}; sys.exit('torch' in sys.modules)"

    assert subprocess.run([sys.executable, "-c", code]).returncode == 0
