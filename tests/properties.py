"""Settings of property tests, and values that no author of a file had in mind.

GANFORGE_TEST_EXAMPLES sets the number of examples of every property.
"""

import copy
import json
import os

from hypothesis import HealthCheck, settings
from hypothesis import strategies as st

_FIXTURES = [HealthCheck.function_scoped_fixture, HealthCheck.too_slow, HealthCheck.data_too_large]
NUMBERS = st.sampled_from((-1, 0, 1, 2, 7, 255, 2**31, 2**63, 10**30, 0.5, -0.0, 1e308, 1e-320))
TEXTS = st.text(max_size=12) | st.sampled_from(
    ("", "~", "null", "0x10", "1e3", "../../x", "${x}", "${oc.env:HOME}", "!!python/name:os.system")
)
LEAVES = st.none() | st.booleans() | NUMBERS | TEXTS
VALUES = st.recursive(
    LEAVES,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(TEXTS, inner, max_size=3),
    max_leaves=6,
)


def examples(count):
    """The same `count` examples on every run, unless the environment asks for more."""
    return settings(
        max_examples=int(os.environ.get("GANFORGE_TEST_EXAMPLES", count)),
        derandomize=True,
        deadline=None,
        database=None,
        suppress_health_check=_FIXTURES,
    )


def places(value, path=()):
    """The path of every value inside a document."""
    if isinstance(value, dict | list):
        for key in value if isinstance(value, dict) else range(len(value)):
            yield (*path, key)
            yield from places(value[key], (*path, key))


@st.composite
def changed(draw, document):
    """The document with one to three values replaced, removed, renamed or added."""
    made = copy.deepcopy(document)
    for _ in range(draw(st.integers(1, 3))):
        found = list(places(made))
        if not found:
            return made
        *above, key = draw(st.sampled_from(found))
        parent = made
        for step in above:
            parent = parent[step]
        kind = draw(st.sampled_from(("replace", "replace", "remove", "add")))
        if kind == "replace":
            parent[key] = draw(VALUES)
        elif kind == "remove":
            del parent[key]
        elif isinstance(parent, dict):
            parent[draw(TEXTS)] = draw(VALUES)
        else:
            parent.insert(key, draw(VALUES))
    return made


@st.composite
def damaged(draw, text):
    """The bytes of a text with a few bytes changed, cut, doubled, or nested absurdly deep."""
    data = bytearray(text.encode())
    for _ in range(draw(st.integers(1, 3))):
        place = draw(st.integers(0, len(data)))
        kind = draw(st.sampled_from(("change", "cut", "insert", "nest")))
        if kind == "change" and place < len(data):
            data[place] = draw(st.integers(0, 255))
        elif kind == "cut":
            del data[place : place + draw(st.integers(1, 20))]
        elif kind == "insert":
            data[place:place] = draw(st.binary(min_size=1, max_size=8))
        else:
            data[place:place] = draw(st.sampled_from((b"[", b'{"a":', b"- "))) * 3000
    return bytes(data)


def json_files(document):
    """A JSON document that was changed or damaged, as bytes."""
    return changed(document).map(lambda made: json.dumps(made).encode()) | damaged(
        json.dumps(document)
    )
