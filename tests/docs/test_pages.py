import importlib.util
import re
from pathlib import Path

import pytest
import yaml

ROOT = Path(__file__).parents[2]
PAGES = sorted([*(ROOT / "docs").rglob("*.md"), *ROOT.glob("*.md")])


def load_generator():
    spec = importlib.util.spec_from_file_location("docs_generate", ROOT / "docs" / "generate.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.fixture(scope="module")
def generated():
    return load_generator().generated()


PAGES_WITH_CODE = ["data.md", "derivations.md", "hooks.md", "metrics.md", "writing-plugins.md"]


@pytest.mark.parametrize("page", ["cli.md", "pipeline-file.md", *PAGES_WITH_CODE])
def test_generated_page_is_up_to_date(generated, page):
    message = f"docs/{page} is out of date: run `python docs/generate.py` and commit the result"
    assert (ROOT / "docs" / page).read_text() == generated[ROOT / "docs" / page], message


def test_generated_blocks_hold_every_example():
    pages = "".join((ROOT / "docs" / name).read_text() for name in PAGES_WITH_CODE)
    shown = set(re.findall(r"<!-- code: (\S+) -->", pages))
    assert shown == {path.name for path in (ROOT / "docs" / "examples").glob("*.py")}


def test_describe_type_speaks_yaml():
    from typing import Literal

    describe = load_generator().describe_type
    assert describe(int | None) == "integer or null"
    assert describe(Literal["a", "b"]) == "`a`, `b`"
    assert describe(tuple[str, ...]) == "list of text"
    assert describe(bool | Literal["auto"]) == "true or false or `auto`"


@pytest.mark.parametrize("page", PAGES, ids=lambda path: str(path.relative_to(ROOT)))
def test_links_of_page_lead_somewhere(page):
    for target in re.findall(r"\]\(([^)#\s]+)(?:#[^)]*)?\)", page.read_text()):
        if "://" not in target and not target.endswith(".png"):
            assert (page.parent / target).exists(), f"{page.name} links to {target}"


def test_mkdocs_navigation_lists_every_page():
    settings = yaml.safe_load((ROOT / "mkdocs.yml").read_text())
    listed = set(re.findall(r"[\w/-]+\.md", str(settings["nav"])))
    written = {str(path.relative_to(ROOT / "docs")) for path in (ROOT / "docs").rglob("*.md")}
    assert listed == {name for name in written if not name.endswith(".head.md")}


def test_table_names_keys_as_a_file_writes_them():
    from ganforge.config.data import CropConfig

    assert "| `from` |" in load_generator().table(CropConfig)
