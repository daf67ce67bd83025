"""docs/results.py: the pages of measured numbers are what the data files say."""

import importlib.util
import re
import xml.etree.ElementTree as ElementTree
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from ganforge.config.find import packaged_pipelines

ROOT = Path(__file__).parents[2]
SVG = "{http://www.w3.org/2000/svg}"


def load_script():
    spec = importlib.util.spec_from_file_location("docs_results", ROOT / "docs" / "results.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


results = load_script()
DATA = results.load("results")
PICTURED = [model for model in DATA["models"] if model["picture"]]


def models(*distances):
    names = ("name", "task", "page", "run", "hardware", "picture", "seeds", "kimg")
    common = dict.fromkeys(names, "x") | {"task": "class", "picture": None}
    return [common | {"name": f"<{value}>", "distance": value} for value in distances]


@pytest.mark.parametrize("target", results.generated(), ids=lambda path: path.name)
def test_generated_page_is_up_to_date(target):
    message = f"{target.name} is out of date: run `python docs/results.py` and commit the result"
    assert target.read_text() == results.generated()[target], message


@pytest.mark.parametrize("model", PICTURED, ids=lambda model: model["name"])
def test_strip_shows_the_first_rows_of_the_picture(model):
    with Image.open(results.strip_path(model)) as stored:
        np.testing.assert_array_equal(np.asarray(stored), np.asarray(results.strip(model)))


def test_pages_use_every_block():
    used = {
        name
        for page in results.PAGES
        for name in re.findall(r"<!-- data: (\S+) -->", (ROOT / "docs" / page).read_text())
    }
    assert used == set(results.blocks())


def test_every_model_names_a_packaged_pipeline_and_a_page():
    for model in DATA["models"]:
        assert model["run"] in packaged_pipelines(), model["name"]
        assert (ROOT / "docs" / "architectures" / f"{model['page']}.md").exists(), model["name"]
        assert model["hardware"].partition(",")[0] in {row["name"] for row in DATA["machines"]}


def test_every_quick_recipe_has_a_result():
    quick = {name for name in packaged_pipelines() if name.startswith("quick/")}
    assert quick <= {model["run"] for model in DATA["models"]}


def test_ablation_row_has_only_columns_of_the_table():
    for group in DATA["ablations"]:
        for row in group["rows"]:
            assert row.keys() <= results.ABLATION_COLUMNS.keys(), group["title"]


def test_every_range_holds_its_median():
    entries = [*DATA["models"], *(row for group in DATA["ablations"] for row in group["rows"])]
    ranges = [value for entry in entries for value in entry.values() if isinstance(value, list)]
    assert len(ranges) > 20
    for median, low, high in ranges:
        assert low <= median <= high


@pytest.mark.parametrize(
    ("row", "shown"),
    [
        ({}, ""),
        ({"class": 0}, "0"),
        ({"class": [98.3, 96.9, 99.2]}, "98.3 (96.9–99.2)"),
        ({"class": None}, ""),
    ],
)
def test_cell_shows_nothing_a_number_or_a_range(row, shown):
    assert results.cell(row, "class") == shown


def test_table_keeps_the_order_of_its_columns():
    text = results.table({"b": "B", "a": "A"}, [{"a": 1, "b": 2}])
    assert text == "| B | A |\n| --- | --- |\n| 2 | 1 |\n"


def test_models_are_ranked_by_their_median():
    ranked = results.ranked(models([3.3, 0.1, 9], 2.5, 10.7))
    assert [model["name"] for model in ranked] == ["<2.5>", "<[3.3, 0.1, 9]>", "<10.7>"]


def test_chart_draws_bars_in_proportion_and_escapes_names():
    chart = ElementTree.fromstring(results.chart({"models": models(2.0, [4.0, 3.0, 8.0])}))
    bars = [rect for rect in chart.iter(f"{SVG}rect") if rect.get("height") != "14"]
    one, two = (float(rect.get("width")) for rect in bars)
    assert two == pytest.approx(2 * one, abs=0.1)
    texts = [text.text for text in chart.iter(f"{SVG}text")]
    assert "<2.0>" in texts and "4.0" in texts


def test_chart_draws_a_line_for_a_range_only():
    def lines(*distances):
        chart = ElementTree.fromstring(results.chart({"models": models(*distances)}))
        return sum(path.get("stroke-width") == "2" for path in chart.iter(f"{SVG}path"))

    assert (lines(5.0), lines([5.0, 4.0, 6.0])) == (0, 1)


def test_filled_keeps_what_stands_outside_the_markers():
    page = "before\n<!-- data: machines -->\nold\n<!-- end -->\nafter\n"
    text = results.filled(page)
    assert text.startswith("before\n<!-- data: machines -->\n| Machine |")
    assert text.endswith("|\n<!-- end -->\nafter\n") and "old" not in text


def test_ablation_table_shows_only_measured_columns():
    group = {"title": "T", "text": "Why.", "command": "run\n", "rows": [{"change": "a", "kimg": 1}]}
    text = results.ablations({"ablations": [group]})
    assert "| Run | kimg |\n" in text and "Seeds" not in text
    assert text.startswith("## T\n\nWhy.\n") and text.endswith("```sh\nrun\n```\n")


def test_models_table_has_one_line_a_model_with_medians():
    task = {"columns": {"distance": "Distance"}, "references": [{"name": "real", "distance": 0.1}]}
    rows = models([3.0, 2.0, 4.0], 1.5)
    lines = results.models_table({"tasks": {"class": task}, "models": rows}, "class").splitlines()
    assert len(lines) == 2 + len(rows) + 1
    assert "<1.5>" in lines[2] and "| 3.0 |" in lines[3] and lines[4].startswith("| *real* |")


def test_seeds_table_falls_back_to_the_hardware():
    row = models(2.0)[0] | {"hardware": "A, 1 core"}
    data = {"tasks": {"class": {"columns": {"distance": "Distance"}}}, "models": [row]}
    assert "A, 1 core" in results.seeds_table(data)
    assert "elsewhere" in results.seeds_table(data | {"models": [row | {"where": "elsewhere"}]})


def test_model_without_picture_has_an_empty_cell():
    assert results.samples_link({"picture": None}) == ""


def test_benchmark_row_of_the_wrong_length_is_an_error():
    entry = {"columns": {"a": "A", "b": "B"}, "rows": [[1]], "command": "run\n"}
    with pytest.raises(ValueError, match="zip"):
        results.benchmark_tables({"speed": entry})


def test_strips_have_one_height():
    assert {results.strip(model).height for model in PICTURED} == {64}
