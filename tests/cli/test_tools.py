import json


def test_schema_is_printed_or_written(ganforge, tmp_path):
    printed = json.loads(ganforge("schema").stdout)
    ganforge("schema", "--out", "schema.json")

    assert json.loads((tmp_path / "schema.json").read_text()) == printed
    assert "Architecture.dcgan" in printed["$defs"]


def test_schema_that_cannot_be_written_is_one_message(ganforge, tmp_path):
    (tmp_path / "file").touch()
    said = ganforge("schema", "--out", str(tmp_path / "file" / "schema.json"), code=2).stderr
    assert "file" in said and "Remove it or choose another path" in said
