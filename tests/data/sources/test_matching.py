import pytest

from ganforge.data.sources.matching import listed, partners
from ganforge.errors import DataError


def sides(one, other):
    return {"source='a'": dict.fromkeys(one), "target='b'": dict.fromkeys(other)}


def test_list_shows_ten_names_and_counts_the_others():
    assert listed(["a", "b"]) == "'a', 'b'"
    assert listed([str(n) for n in range(12)]).endswith("'9' and 2 more")


def test_partners_are_in_natural_order():
    assert partners(sides(["10", "9"], ["9", "10"]), "error", "images") == ["9", "10"]


def test_names_without_a_partner_are_listed():
    fault = "images without a partner, 1 in source='a': '3'; 2 in target='b': '4', '5'. Give"
    with pytest.raises(DataError, match=fault):
        partners(sides("123", "1245"), "error", "images")


def test_names_without_a_partner_may_be_left_out(caplog):
    assert partners(sides("12", "23"), "skip", "images") == ["2"]
    assert "Left out: images without a partner, 1 in source='a': '1'; 1 in" in caplog.text


def test_sides_that_share_no_name_are_refused():
    with pytest.raises(DataError, match="without a partner"):
        partners(sides("1", "2"), "skip", "clips")
