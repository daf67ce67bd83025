"""The check that losses and gradients are finite.

On a CPU a loss is checked before the update. A GPU runs behind the host, and an immediate check
would make the host wait for it in every phase. There the values are copied asynchronously and
checked one step later, and in any case before anything is logged, drawn, measured or saved. By
then the networks in memory may be spoilt, but they are never saved.
"""

import math
from collections import deque
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from ganforge.errors import NonFiniteError
from ganforge.interfaces.objective import Terms
from ganforge.training.engine.host_copy import HostCopy


@dataclass(frozen=True)
class PhaseLosses:
    """The losses of one phase.

    Attributes:
        phase: its name.
        step: steps before this one.
        nimg: images before this step.
        total: [1] sum of all terms of all ranks, equal on all of them.
        norm: norm of the reduced gradient; None where it may overflow (fp16).
        slot_terms: this rank's terms, one mapping per slot.
    """

    phase: str
    step: int
    nimg: int
    total: Tensor
    norm: Tensor | None
    slot_terms: Sequence[Terms]


@dataclass(frozen=True)
class _Underway:
    losses: PhaseLosses
    values: HostCopy


class FiniteCheck:
    """Ends the run at the first phase whose losses or gradients are not finite.

    All ranks stop at the same phase, because the checked values are equal on all of them.

    Args:
        late: check one step later, so that the host does not wait for the device.
        rank: rank of this process, for the message.
        slots: slots of this rank, for the message.
    """

    def __init__(self, late: bool, rank: int, slots: range) -> None:
        self.late = late
        self._rank = rank
        self._slots = slots
        self._underway: deque[_Underway] = deque()

    def __len__(self) -> int:
        """The number of phases that have run and are not yet checked."""
        return len(self._underway)

    def look(self, losses: PhaseLosses, bad_gradients: Callable[[], list[str]]) -> None:
        """Check the values of a phase, or start their copy to the host where `late`.

        `bad_gradients` names the gradients that are not finite.

        Raises:
            NonFiniteError: they are not finite; never raised where `late`.
        """
        if self.late:
            self._send(losses)
            return
        total = losses.total if losses.norm is None else losses.total + losses.norm
        if not bool(torch.isfinite(total)):
            terms = [float(t) for terms in losses.slot_terms for t in terms.values()]
            found = [*self._bad_terms(losses, terms), *bad_gradients()]
            raise NonFiniteError(self._message(losses, found))

    def settle(self, keep: int = 0) -> None:
        """Check all phases that are underway except the last `keep`.

        Raises:
            NonFiniteError: names the first phase that is not finite.
        """
        while len(self._underway) > keep:
            oldest = self._underway.popleft()
            total, norm, *terms = oldest.values.read()
            if not (math.isfinite(total) and math.isfinite(norm)):
                found = self._bad_terms(oldest.losses, terms)
                if math.isfinite(total):
                    found.append(f"the norm of the gradient = {norm:g}")
                raise NonFiniteError(self._message(oldest.losses, found))

    def _send(self, losses: PhaseLosses) -> None:
        total = losses.total.reshape(())
        norm = torch.zeros_like(total) if losses.norm is None else losses.norm
        terms = (term for terms in losses.slot_terms for term in terms.values())
        self._underway.append(_Underway(losses, HostCopy(torch.stack([total, norm, *terms]))))

    def _bad_terms(self, losses: PhaseLosses, values: Sequence[float]) -> list[str]:
        places = (
            (slot, name)
            for slot, terms in zip(self._slots, losses.slot_terms, strict=True)
            for name in terms
        )
        return [
            f"term '{name}' = {value:g} in slot {slot}"
            for (slot, name), value in zip(places, values, strict=True)
            if not math.isfinite(value)
        ][:3]

    def _message(self, losses: PhaseLosses, found: Sequence[str]) -> str:
        kept = "Nothing was kept since" if self.late else "No network was updated with it"
        return (
            f"Not finite in phase '{losses.phase}' at nimg={losses.nimg} (step {losses.step}, rank "
            f"{self._rank}): {'; '.join(found or ['a loss on another rank'])}. {kept} and the last "
            f"checkpoint is intact. Run the same command with train.precision=fp32 to resume, or, "
            f"under another name, with a lower train.optimizer.lr or train.grad_clip_norm."
        )
