def test_list_that_replaces_a_list_is_located_where_it_was_written(write, error_of):
    write("a.yaml", "extends: base.yaml\nloss:\n  regularizers:\n    - gamma: 3")

    assert "loss.regularizers.0.name (a.yaml:4): is missing" in error_of("a.yaml")
