"""Ranks agree on what to do between steps: all hear what any of them wants, at the same step."""

from types import SimpleNamespace

import pytest
import torch

from ganforge.training.engine.agreement import Agreement


def agreement(wishes, ranks=2, late=False):
    runtime = SimpleNamespace(device=torch.device("cpu"), world_size=ranks)
    return Agreement(runtime, lambda: wishes, late)


def test_agreement_of_one_rank_is_what_it_wants_at_the_step_edge():
    wishes = [False, False]
    alone = agreement(wishes, ranks=1)
    assert alone.vote() is None
    wishes[1] = True  # a signal during the step
    assert alone.outcome() == [False, True]


def test_agreement_of_ranks_is_the_sum_of_the_votes_before_the_step():
    wishes = [True, False, False]
    shared = agreement(wishes)
    votes = shared.vote()
    wishes[2] = True  # too late for this step: the others would not know
    votes += torch.tensor([1.0, 1.0, 0.0])  # of another rank
    assert shared.outcome() == [True, True, False]


def test_agreement_read_late_is_that_of_the_step_before():
    wishes, heard = [False], []
    shared = agreement(wishes, late=True)
    for wish in (True, False, False):
        wishes[0] = wish
        shared.vote()
        heard.append(shared.outcome())
    assert heard == [[False], [True], [False]]


def test_agreement_read_late_forgets_votes_for_what_has_just_been_done():
    shared = agreement([True], late=True)
    outcomes = []
    for _ in range(4):
        shared.vote()
        (wanted,) = shared.outcome()
        outcomes.append(wanted)
        if wanted:
            shared.done(0)
    # Without that, the vote underway when it was done would have it done again at once.
    assert outcomes == [False, True, False, True]


@pytest.mark.parametrize("late", [False, True])
def test_agreement_without_wishes_is_silent(late):
    shared = agreement([False, False], late=late)
    for _ in range(3):
        shared.vote()
        assert shared.outcome() == [False, False]
