"""The contract that every architecture keeps, as functions: each raises where it is broken.

`ganforge plugins check` and the test suite run the same functions.
"""

import tempfile
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import partial
from pathlib import Path

import torch
from torch import Tensor, nn

from ganforge.inference.blends import blended_request
from ganforge.interfaces.architecture import Phase
from ganforge.interfaces.batch import Batch, Networks
from ganforge.interfaces.generation import Blend
from ganforge.interfaces.objective import Terms
from ganforge.objectives.adversarial_pair import NoiseToImage
from ganforge.plugin_tools.cases import (
    Case,
    generate,
    image_shape,
    make_fields,
    requests,
    start,
    train_case,
)
from ganforge.plugin_tools.objective_contract import (
    check_objective_is_followed_or_refused,
    check_reports,
)
from ganforge.plugin_tools.translation_contract import (
    check_chunks_equal_the_whole,
    check_noise_of_frames,
    check_other_sizes,
)
from ganforge.registry.components import resolve
from ganforge.training.engine.loop import make_batches
from ganforge.training.engine.step import Stepper
from ganforge.training.state import checkpoint
from ganforge.training.state.run_state import TrainingRun

Check = Callable[[Case], None]
_GRADIENT_STEPS = 3
_RANGE_TOLERANCE = 1e-3
_ENLARGED = 3
_BATCH_TOLERANCE = 2e-4


@dataclass(frozen=True)
class _Watched(Blend):
    """Notes when latents are combined."""

    was_used: list[bool] = field(default_factory=list)

    def combine(self, values: Sequence[Tensor]) -> Tensor:
        self.was_used.append(True)
        return super().combine(values)

    def mean(self, values: Sequence[Tensor]) -> Tensor:
        self.was_used.append(True)
        return super().mean(values)


def check_builds(case: Case) -> None:
    """networks() and phases() fit together, and every network is trained by some phase."""
    architecture = resolve(case.config).bound_architecture(case.spec)
    networks = architecture.networks()
    missing = [role for role in architecture.ema_roles if role not in networks]
    if missing:
        raise case.broken(f"ema_roles names {missing}. Return them from networks().")
    run = start(case)
    trained = {role for phase in run.phases for role in phase.trains}
    for role, module in run.nets.modules().items():
        if role not in trained and not run.frozen.covers(module):
            raise case.broken(
                f"no phase trains '{role}'. Add it to a phase's `trains`; `init.freeze` in the "
                f"pipeline file takes a trained network out again."
            )
    if not getattr(run.architecture, "paper", ""):
        raise case.broken("it has no `paper`. Cite what it implements: authors, year, arXiv.")


def check_weights_follow_seed(case: Case) -> None:
    """The initial weights depend on the seed alone."""
    first, second = start(case), start(case)
    differing = _first_difference(_parameters(first.nets), _parameters(second.nets))
    if differing:
        raise case.broken(
            f"two builds from one seed differ in {differing}. "
            "Draw initial weights from torch's global generator only."
        )


def check_phases_train_what_they_name(case: Case) -> None:
    """Each phase changes all the networks it names, and no other."""
    run = start(case)
    seen: dict[str, set[str]] = {}
    run.phases = [_watched(phase, seen) for phase in run.phases]
    _one_step(case, run)
    for phase in run.phases:
        changed, named = seen[phase.name], set(phase.trains)
        if changed != named:
            raise case.broken(
                f"phase '{phase.name}' names {sorted(named)} but changes {sorted(changed)}. "
                "`trains` must list exactly the networks that its loss reaches, and its "
                "`after_step` may touch no other."
            )


def _watched(phase: Phase, seen: dict[str, set[str]]) -> Phase:
    """The phase, due at every step, with the roles it changes recorded in `seen`."""
    before: dict[str, Tensor] = {}

    def loss(nets: Networks, batch: Batch) -> Terms:
        if not before:
            before.update(_parameters(nets))
        return phase.loss(nets, batch)

    def after_step(nets: Networks) -> None:
        if phase.after_step is not None:
            phase.after_step(nets)
        after = _parameters(nets)
        seen.setdefault(phase.name, set()).update(
            name.partition(".")[0] for name in after if not torch.equal(after[name], before[name])
        )
        before.clear()

    return replace(phase, loss=loss, every=1, after_step=after_step)


def check_gradients_reach_all_parameters(case: Case) -> None:
    """Every trainable parameter has a non-zero gradient within three steps.

    Three, because a branch that starts at zero (a zero-initialized scale) passes none at first.
    """
    run = start(case)
    waiting, reached = (
        {n: p for n, p in _named_parameters(run.nets) if p not in run.frozen},
        set[str](),
    )
    for name, parameter in waiting.items():
        parameter.requires_grad_(True).register_post_accumulate_grad_hook(  # type: ignore[no-untyped-call]
            partial(_note_gradient, name, reached)
        )
    run.phases = [replace(phase, every=1) for phase in run.phases]
    for _ in range(_GRADIENT_STEPS):
        _one_step(case, run)
    unreached = sorted(waiting.keys() - reached)
    if unreached:
        raise case.broken(
            f"no gradient reaches {', '.join(unreached[:5])} ({len(unreached)} parameters). "
            "Use the parameter in a loss, or make it a buffer."
        )


def _note_gradient(name: str, reached: set[str], parameter: Tensor) -> None:
    if parameter.grad is not None and bool(parameter.grad.any()):
        reached.add(name)


def check_output(case: Case) -> None:
    """generate() gives one finite image per seed, of the right shape, in [-1, 1].

    Weights are first enlarged: those of a network that has hardly begun give small values.
    """
    run = train_case(case, start(case))
    with torch.no_grad():
        for module in run.ema.networks.values():
            for parameter in module.parameters():
                parameter.mul_(_ENLARGED)
    for request, channels in requests(case, (0, 1, 2)):
        img = generate(run, request)
        shape = [3, *image_shape(case.spec, channels)]
        if list(img.shape) != shape or not img.is_floating_point():
            raise case.broken(
                f"generate() gives {list(img.shape)} {img.dtype}, not {shape} float. "
                "Return one image per seed in the size and channels of the image spec."
            )
        low, high = float(img.min()), float(img.max())
        if not (-1 - _RANGE_TOLERANCE <= low and high <= 1 + _RANGE_TOLERANCE):
            raise case.broken(
                f"generate() gives values from {low:.3g} to {high:.3g}. "
                "Images are finite and in [-1, 1]; clamp them if the paper has no tanh."
            )


def check_generate_is_batch_independent(case: Case) -> None:
    """A seed gives one image, whatever the other seeds and the global generator."""
    run = train_case(case, start(case))
    seeds = (5, 3, 8)
    torch.manual_seed(1)
    together = [generate(run, request) for request, _ in requests(case, seeds)]
    for position, seed in enumerate(seeds):
        torch.manual_seed(2 + position)
        for whole, (request, _) in zip(together, requests(case, (seed,)), strict=True):
            gap = float((generate(run, request)[0] - whole[position]).abs().max())
            if gap > _BATCH_TOLERANCE:
                raise case.broken(
                    f"seed {seed} gives another image alone than among {seeds} (by {gap:.3g}). "
                    "Draw all noise through request.noise and keep batch statistics out of eval."
                )


def check_discriminator_is_per_sample(case: Case) -> None:
    """Where `per_sample_discriminator` says so, an image's score does not depend on the others."""
    run = start(case)
    architecture = run.architecture
    if not (isinstance(architecture, NoiseToImage) and architecture.per_sample_discriminator):
        return
    batch = next(iter(make_batches(run, [make_fields(case, 0, 0)])))
    nets, img, c = run.nets.modules(), batch.image, architecture.condition(batch)
    with torch.no_grad():
        together = nets["discriminator"](img, c)
        first = nets["discriminator"](img[:1], c[:1])
    gap = float((together[:1] - first).abs().max())
    if not gap <= _BATCH_TOLERANCE:
        raise case.broken(
            f"`per_sample_discriminator` is true, but among others an image has another score (by "
            f"{gap:.3g}). "
            "Leave it out where the discriminator has batch statistics, dropout or spectral norm."
        )


def check_latents_blend(case: Case) -> None:
    """Every latent space can be walked through: the ends are the seeds' images."""
    run = start(case)
    if run.architecture.directions:
        return
    (keys, _), *_ = requests(case, (5, 3))
    alone = generate(run, keys)
    for space in run.architecture.latent_spaces:
        weights = torch.tensor([[1.0, 0.5, 0.0], [0.0, 0.5, 1.0]])
        request = blended_request(keys, [[0] * 3, [1] * 3], weights, space)
        assert request.blend is not None
        blend = _Watched(**vars(request.blend))
        img = generate(run, replace(request, blend=blend))
        if not blend.was_used:
            raise case.broken(
                f"`latent_spaces` names '{space}', but generate() does not blend in it. "
                "Call request.blended(space, ...) for its latents, or leave the name out."
            )
        gap = float((img[[0, 2]] - alone).abs().max())
        if not gap <= _BATCH_TOLERANCE:
            raise case.broken(
                f"on the way between seeds in '{space}', the ends are not their images "
                f"(by {gap:.3g}). "
                "Draw all noise through request.noise."
            )


def check_resume_is_exact(case: Case) -> None:
    """Two steps, a checkpoint and a third step equal three steps, bit for bit."""
    whole = train_case(case, start(case, 3)).snapshot()
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / checkpoint.directory_name(0)
        checkpoint.save(path, train_case(case, start(case, 2)).snapshot())
        resumed = start(case, 3)
        torch.manual_seed(99)
        resumed.restore(checkpoint.load(path), str(path))
        again = train_case(case, resumed).snapshot()
    for kind, tensors in whole.tensors.items():
        differing = _first_difference(tensors, again.tensors[kind])
        if differing:
            raise case.broken(
                f"after a resume, {kind} differ from an uninterrupted run in {differing}. "
                "Keep state in parameters, float buffers or batch.slot_state; draw noise from "
                "torch's global generator."
            )


def _one_step(case: Case, run: TrainingRun) -> None:
    fields = [make_fields(case, run.progress.step, slot) for slot in run.local_slots]
    Stepper(run).step(make_batches(run, fields), run.progress)
    run.progress.advance(case.config.train.batch_size)


def _parameters(nets: Networks) -> dict[str, Tensor]:
    return {name: parameter.detach().clone() for name, parameter in _named_parameters(nets)}


def _named_parameters(nets: Networks) -> Iterator[tuple[str, nn.Parameter]]:
    for role, module in nets.modules().items():
        yield from module.named_parameters(role)


def _first_difference(one: Mapping[str, Tensor], other: Mapping[str, Tensor]) -> str:
    """The first key at which two sets of tensors differ; empty when they are equal."""
    for name in sorted(one.keys() | other.keys()):
        if name not in one or name not in other or not torch.equal(one[name], other[name]):
            return name
    return ""


CHECKS: Mapping[str, Check] = {
    "builds": check_builds,
    "weights follow the seed": check_weights_follow_seed,
    "phases train what they name": check_phases_train_what_they_name,
    "gradients reach all parameters": check_gradients_reach_all_parameters,
    "output": check_output,
    "generate is batch-independent": check_generate_is_batch_independent,
    "per-sample discriminator": check_discriminator_is_per_sample,
    "objective is followed": check_objective_is_followed_or_refused,
    "reports": check_reports,
    "latents blend": check_latents_blend,
    "other sizes": check_other_sizes,
    "chunks equal the whole": check_chunks_equal_the_whole,
    "noise of frames": check_noise_of_frames,
    "resume is exact": check_resume_is_exact,
}
"""What is checked for each case, in one process."""
