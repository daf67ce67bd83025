"""The plan against training times that authors published; all rows are in docs/planning.md."""

import pytest
from benchmarks.plan_published import CASES, rows, workload

# The cheapest to count.
NAMES = ("StyleGAN 256", "BigGAN 128")


@pytest.mark.parametrize("name", NAMES)
def test_predicted_times_are_within_30_percent_of_published_ones(name):
    case = [case for case in CASES if case.name == name and case.published[0][0] == "8xV100"][0]
    for _, gpus, published, predicted in rows([(case, *workload(case))]):
        assert predicted == pytest.approx(published, rel=0.3), gpus
