"""Refuses objectives that cannot be trained with, and warns of those that hardly can."""

import logging
from collections.abc import Iterable
from typing import Any

from torch import nn

from ganforge.errors import ConfigError
from ganforge.interfaces.architecture import Architecture
from ganforge.interfaces.objective import Objective
from ganforge.interfaces.spec import ImageSpec

log = logging.getLogger(__name__)


def check_objective(architecture: Architecture[Any], spec: ImageSpec, objective: Objective) -> None:
    """Refuse what this architecture cannot be trained with.

    Raises:
        ConfigError: a forbidden combination, an unreachable resolution, ...
    """
    if objective.unroll is not None:
        if not architecture.supports_unrolling:
            raise ConfigError(
                f"loss.unroll: '{architecture.name}' does not train one generator against one "
                f"discriminator, so there are no steps to look ahead. Remove it."
            )
        if objective.augmentation is not None:
            raise ConfigError(
                f"loss.unroll does not go with augment.name={objective.augmentation.name}: the "
                f"augmentation would see the steps that are only tried. Remove one."
            )
    if objective.matching and not architecture.supports_matching:
        raise ConfigError(
            f"loss.matching: the discriminator of '{architecture.name}' is not trained on pairs of "
            f"an image and a condition that may be wrong. Remove it."
        )
    augmentation, loss = objective.augmentation, objective.loss
    if augmentation is not None and augmentation.reads_sign and not loss.sign_decides:
        raise ConfigError(
            f"augment.name={augmentation.name} adapts its strength to the sign of D(x), by which "
            f"loss.name={loss.name} does not tell real from generated images (with least_squares: "
            f"unless a = -b). Fix the strength, e.g. augment.p: 0.3."
        )
    architecture.check(spec, objective)


def warn_of_conditions(
    architecture: Architecture[Any], spec: ImageSpec, objective: Objective
) -> None:
    """Say so where `loss.matching` has nothing to act on.

    Args:
        architecture: as built.
        spec: of the data at hand; before they are prepared, optional conditions are not known.
        objective: as chosen.
    """
    told = {*architecture.inputs, *architecture.optional_inputs}
    has = {
        "label": spec.num_classes > 1,
        "attributes": bool(spec.attribute_names),
        "text": spec.text_dim > 0,
    }
    if objective.matching and not any(name in told and there for name, there in has.items()):
        log.warning(
            "loss.matching has no effect: '%s' is told nothing of these images that could be "
            "wrong. Data with two classes or more (a folder for each), and an architecture that is "
            "told them, would change that.",
            architecture.name,
        )


def warn_of_objective(objective: Objective, modules: Iterable[nn.Module]) -> None:
    """Say what will probably not train: nothing is refused, since papers do it to show just that.

    Args:
        objective: as checked.
        modules: the networks, which may be bounded by spectral normalisation.
    """
    loss, regularizers = objective.loss, objective.regularizers
    present = {loss.name, *(r.name for r in regularizers)}
    for regularizer in regularizers:
        for other in sorted(present & set(regularizer.not_with)):
            log.warning(
                "loss: '%s' is not meant to go with '%s'; the combination may not train. See "
                "docs/objectives.md, or remove one.",
                regularizer.name,
                other,
            )
    layers = (type(layer).__name__ for module in modules for layer in module.modules())
    # Also torch's own, which is private.
    is_normed = any("SpectralNorm" in name for name in layers)
    if loss.needs_bound and not is_normed and not objective.for_target("discriminator"):
        log.warning(
            "loss.name=%s has no minimum unless something bounds the discriminator's slope, and "
            "nothing does. Add gradient_penalty or weight_clipping to loss.regularizers, or choose "
            "a discriminator with spectral normalisation.",
            loss.name,
        )
