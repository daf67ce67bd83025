import json
from dataclasses import replace

from planning.made_up import H100, plan

from ganforge.planning.gpus import Cluster
from ganforge.planning.text import describe, to_dict


def test_description_names_each_part():
    found = plan(Cluster(16, H100), 1, price=2.0, notes=("Beware.",))
    text = describe(found)
    for topic in ("parameters", "memory per GPU", "speed", "all-reduce", "loader", "price"):
        assert f"\n{topic}" in text
    assert "  generator" in text
    assert ", every 2 steps" in text
    assert text.endswith("Note: Beware.")


def test_description_says_what_to_change():
    found = plan(Cluster(1, H100), 16)
    slow = replace(found, fits=False, loading=replace(found.loading, is_enough=False))
    assert "DOES NOT FIT" in describe(slow)
    assert "set data.workers=1, it is 8" in describe(slow)


def test_json_holds_all_of_it():
    found = json.loads(json.dumps(to_dict(plan(Cluster(16, H100), 1))))
    assert found["gpus"] == "16xH100"
    assert found["memory"]["weights"] == 12_000_000
    assert found["phases"][1]["name"] == "generator"
    assert found["checkpoints"]["total_sec"] == 10 * found["checkpoints"]["sec_each"]
