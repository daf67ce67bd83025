"""Registers the objective terms: each is one file."""

from typing import Any

from ganforge.interfaces.component import hookimpl
from ganforge.interfaces.objective import ObjectiveTerm
from ganforge.objectives.mismatched_pairs import MismatchedPairs
from ganforge.objectives.unrolling import Unrolling


@hookimpl
def ganforge_objective_terms() -> list[type[ObjectiveTerm[Any]]]:
    """Terms for `loss.terms`."""
    return [MismatchedPairs, Unrolling]
