import pytest

from ganforge.data.sources.file_labels import file_labels
from ganforge.errors import DataError


@pytest.mark.parametrize(
    ("files", "labels", "expected"),
    [
        (["b/1.png", "a10/1.png", "a9/x/1.png"], None, ("a9", "a10", "b")),
        (["b/1.png", "a/1.png"], False, ()),
        (["1.png", "a/1.png"], None, ()),
        (["a/1.png"], None, ()),
        (["a/1.png"], True, ("a",)),
        (["1.png"], None, ()),
    ],
)
def test_folder_classes_are_the_first_folders_where_that_is_plain(files, labels, expected):
    assert file_labels(files, labels, "here").names == expected


