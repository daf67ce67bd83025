import pytest

from ganforge.data.sources.tables import read_table
from ganforge.errors import DataError

ROWS = [{"image": "0.png", "label": "cat"}, {"image": "1.png", "label": "dog"}]


@pytest.mark.parametrize("delimiter", [",", ";", "\t", "|"])
@pytest.mark.parametrize("end", ["\n", "\r\n", "\r"])
@pytest.mark.parametrize("mark", ["", "\ufeff"])
def test_table_of_any_program_has_its_rows(tmp_path, delimiter, end, mark):
    lines = [delimiter.join(row.values()) for row in ({"a": "image", "b": "label"}, *ROWS)]
    path = tmp_path / ("x.tsv" if delimiter == "\t" else "x.CSV")
    path.write_bytes((mark + end.join([*lines, ""])).encode())
    assert read_table(path) == ROWS


def test_table_with_empty_values_at_the_ends_of_lines_and_long_cells_is_read(tmp_path):
    path = tmp_path / "x.csv"
    path.write_text(f"image,caption\na.png,{'x' * 200_000},,\n\nb.png,b\n")
    assert [row["image"] for row in read_table(path)] == ["a.png", "b.png"]


@pytest.mark.parametrize(
    ("name", "content", "fault"),
    [
        # Without a check, one row of three.
        ("x.csv", 'image,caption\na.png,"a\nb.png,b\nc.png,c\n', "a quote is not closed"),
        ("x.csv", "image,label,label \na.png,1,2\n", "two columns 'label'"),
        ("x.csv", "image,label\na.png,1,2\n", "Row 1 of .* more values than .*first '2'"),
        ("x.csv", "<!DOCTYPE html>", "is a web page, not a .csv table"),
        ("x.csv", "version https://git-lfs.github.com/spec/v1\n", "git lfs pull"),
        ("x.jsonl", "PK\3\4", "is a zip archive"),
        ("x.json", "[]", "not .csv.*Save it as JSON lines"),
        ("x.parquet", "PAR1", "hf: {name: hf, path: parquet, data_files: .*x.parquet}"),
        ("x.csv.gz", "", "Unpack it"),
        ("x.xlsx", "", "Save the sheet as CSV"),
        ("x.csv", "", "has no rows"),
    ],
)
def test_table_that_would_lose_rows_or_is_another_file_is_refused(tmp_path, name, content, fault):
    (tmp_path / name).write_text(content)
    with pytest.raises(DataError, match=fault):
        read_table(tmp_path / name)


def test_table_that_is_missing_names_the_folder_looked_in(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    with pytest.raises(DataError, match="does not exist .looked in "):
        read_table(tmp_path.relative_to(tmp_path) / "gone.csv")
