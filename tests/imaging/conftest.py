from data.conftest import helpers  # noqa: F401  # a fixture
