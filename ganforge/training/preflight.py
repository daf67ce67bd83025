"""What a run checks before it trains: refusals first, then warnings. All of them are here."""

import itertools
import logging
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from torch import nn

from ganforge.config.init import InitConfig
from ganforge.config.models import PipelineConfig, TrainConfig
from ganforge.errors import ConfigError, PluginContractError, suggest
from ganforge.interfaces.architecture import Architecture, Phase, Reads
from ganforge.interfaces.objective import Objective
from ganforge.layers.batchnorm import BatchNorm
from ganforge.layers.minibatch import MinibatchStdDev
from ganforge.training.engine.freeze import Frozen
from ganforge.training.engine.standing_statistics import check_standing_statistics

log = logging.getLogger(__name__)
_FEW_FOR_BATCHNORM = 8


def check_trainable(
    architecture: Architecture[Any], objective: Objective, config: PipelineConfig, num_slots: int
) -> None:
    """Refuse what cannot be trained, before any network is built.

    Raises:
        ConfigError: a forbidden combination, an unreachable resolution, slots that do not fit, ...
        PluginContractError: the architecture's phases do not fit its networks.
    """
    _check_augmentation(objective)
    for term in objective.terms:
        term.check(architecture, objective)
    architecture.check(objective)
    networks = architecture.meta_networks()
    for regularizer in objective.regularizers:
        regularizer.check({r: n for r, n in networks.items() if regularizer.target in r})
    phases = architecture.phases(objective)
    check_phases(architecture, phases, networks)
    check_disjoint(architecture, networks)
    check_init(config.init, phases, networks)
    check_groups(networks.values(), config.train.batch_size // num_slots)
    check_standing_statistics(architecture, networks, config.train.standing_statistics)


def warn_of_doubts(
    architecture: Architecture[Any], objective: Objective, train: TrainConfig, num_slots: int
) -> None:
    """Log what will probably not train well; papers do it on purpose, so nothing is refused."""
    networks = list(architecture.meta_networks().values())
    warn_of_objective(objective, networks)
    for term in objective.terms:
        for caveat in term.caveats(architecture):
            log.warning("loss.terms: '%s' %s", term.name, caveat)
    # Statistics over all slots at once do not depend on the images of one slot.
    if not train.sync_batchnorm:
        warn_of_small_slots(networks, train.batch_size // num_slots)


def choose_slots(config: PipelineConfig, world_size: int, fixed: int | None) -> int:
    """The number of slots, checked against batch size and ranks.

    `fixed` are the slots of the checkpoint that will be restored, if any.

    Raises:
        ConfigError: they do not divide each other.
    """
    batch_size = config.train.batch_size
    slots = fixed or config.train.slots or world_size
    if batch_size % slots:
        down, up = max(slots, batch_size // slots * slots), -(-batch_size // slots) * slots
        raise ConfigError(
            f"train.batch_size={batch_size} cannot be cut into {slots} equal slots (train.slots, "
            f"by default the number of ranks). Use a multiple of {slots}, e.g. {down} or {up}."
        )
    if slots % world_size:
        raise ConfigError(
            f"{slots} slots cannot be spread evenly over {world_size} ranks. Launch with a number "
            f"of processes that divides {slots}"
            + (", which the checkpoint has fixed." if fixed else ", or change train.slots.")
        )
    return slots


def check_labels(
    config: PipelineConfig, architecture: type[Architecture[Any]], options: Any
) -> Reads:
    """Refuse a `data.use_labels` that the architecture cannot follow, whatever the data.

    Returns:
        The fields that it reads.

    Raises:
        ConfigError: labels are requested and it takes none, or excluded and it needs them.
    """
    use_labels, name = config.data.use_labels, architecture.name
    reads = architecture.reads(options)
    if use_labels and "label" not in reads:
        choice = "a class-conditional architecture"
        if "condition" in type(options).model_fields:
            choice = f"another condition of '{name}', such as model.condition: auto"
        raise ConfigError(
            f"data.use_labels is true, but '{name}' as it is set up takes no labels. Remove it, or "
            f"choose {choice}."
        )
    if use_labels is False and "label" in reads.required:
        raise ConfigError(
            f"data.use_labels is false, but '{name}' as it is set up needs labels. Remove it, or "
            f"choose an unconditional architecture or model.condition."
        )
    return reads


def _check_augmentation(objective: Objective) -> None:
    augmentation, loss = objective.augmentation, objective.loss
    if augmentation is not None and augmentation.reads_sign and not loss.logit_sign_is_class:
        raise ConfigError(
            f"augment.name={augmentation.name} adapts its strength to the sign of D(x), by which "
            f"loss.name={loss.name} does not tell real from generated images (with least_squares: "
            f"unless a = -b). Fix the strength, e.g. augment.p: 0.3."
        )


def check_phases(
    architecture: Architecture[Any], phases: Sequence[Phase], networks: Mapping[str, nn.Module]
) -> None:
    """Refuse phases that name unknown networks, share a name, or overlap in what they train.

    Raises:
        PluginContractError: they do.
    """
    names = [phase.name for phase in phases]
    repeated = sorted({name for name in names if names.count(name) > 1})
    if repeated:
        raise PluginContractError(
            f"Architecture '{architecture.name}' has several phases named {repeated}; a name seeds "
            f"the phase's noise and must be unique."
        )
    for phase in phases:
        unknown = [role for role in phase.trains if role not in networks]
        if unknown:
            raise PluginContractError(
                f"Phase '{phase.name}' of '{architecture.name}' trains {unknown}, but networks() "
                f"returns {sorted(networks)}."
            )
    groups = sorted({phase.trains for phase in phases})
    for one, other in itertools.combinations(groups, 2):
        shared = sorted(set(one) & set(other))
        if shared:
            raise PluginContractError(
                f"Phases of '{architecture.name}' train {list(one)} and {list(other)}, so that "
                f"{shared} would have two optimizers. Name the same networks in both phases, or "
                f"none twice."
            )


def check_disjoint(architecture: Architecture[Any], networks: Mapping[str, nn.Module]) -> None:
    """Refuse parameters and buffers that belong to two networks.

    An optimizer would update such a parameter twice, and each network would average it.

    Raises:
        PluginContractError: names both.
    """
    owners: dict[int, str] = {}
    for role, network in networks.items():
        for kind, named in (
            ("parameter", network.named_parameters()),
            ("buffer", network.named_buffers()),
        ):
            for name, tensor in named:
                first = owners.setdefault(id(tensor), f"{role}.{name}")
                if first.partition(".")[0] != role:
                    raise PluginContractError(
                        f"Networks of '{architecture.name}' share a {kind}: {first} is "
                        f"{role}.{name}, which would be updated twice in a step. Return the shared "
                        f"layers from networks() as one more role, e.g. 'shared', and call "
                        f"nets['shared'] in the losses."
                    )


def check_init(
    init: InitConfig, phases: Sequence[Phase], networks: Mapping[str, nn.Module]
) -> None:
    """Refuse an `init` section that names networks, modules or parameters that do not exist.

    Raises:
        ConfigError: near names are listed; or everything is frozen.
    """
    for role in init.roles:
        if role not in networks:
            raise ConfigError(
                f"init.roles: there is no network '{role}'. {suggest(role, networks)}"
            )
    Frozen(networks, init.freeze).without_idle(phases, networks)


def check_groups(networks: Iterable[nn.Module], num_images: int) -> None:
    """Refuse slots that minibatch standard deviation cannot cut into its groups.

    Raises:
        ConfigError: says which numbers would do.
    """
    for size in _group_sizes(networks):
        if num_images % min(size, num_images):
            raise ConfigError(
                f"Each slot has {num_images} images (train.batch_size / train.slots), which "
                f"minibatch standard deviation cannot cut into groups of {size}. Choose a multiple "
                f"of {size}, or another group size in `model`."
            )


def _group_sizes(networks: Iterable[nn.Module]) -> list[int]:
    layers = [layer for network in networks for layer in network.modules()]
    return [m.group_size for m in layers if isinstance(m, MinibatchStdDev) and m.group_size]


def warn_of_small_slots(networks: Sequence[nn.Module], num_images: int) -> None:
    """Log where a slot has fewer images than the statistics of the networks need."""
    layers = [layer for network in networks for layer in network.modules()]
    groups = _group_sizes(networks)
    cure = "Lower train.slots, or raise train.batch_size, to keep what the recipe does."
    if groups and max(groups) > num_images:
        log.warning(
            "Each slot has %d images, but minibatch standard deviation is made for groups of %d: "
            "it %s. %s",
            num_images,
            max(groups),
            "is always 0" if num_images == 1 else f"takes groups of {num_images}",
            cure,
        )
    if any(isinstance(m, BatchNorm) for m in layers) and num_images < _FEW_FOR_BATCHNORM:
        log.warning("Each slot has %d images, few for BatchNorm's statistics. %s", num_images, cure)


def warn_of_objective(objective: Objective, networks: Iterable[nn.Module]) -> None:
    """Log combinations that will probably not train."""
    loss, regularizers = objective.loss, objective.regularizers
    present = {loss.name, *(r.name for r in regularizers)}
    for regularizer in regularizers:
        for other in sorted(present & set(regularizer.incompatible)):
            log.warning(
                "loss: '%s' is not meant to go with '%s'; the combination may not train. See "
                "docs/objectives.md, or remove one.",
                regularizer.name,
                other,
            )
    layers = (type(layer).__name__ for network in networks for layer in network.modules())
    # By name, to find torch's own too, which is private.
    is_normed = any("SpectralNorm" in name for name in layers)
    if loss.needs_lipschitz and not is_normed and not objective.for_target("discriminator"):
        log.warning(
            "loss.name=%s has no minimum unless something bounds the discriminator's slope, and "
            "nothing does. Add gradient_penalty or weight_clipping to loss.regularizers, or choose "
            "a discriminator with spectral normalization.",
            loss.name,
        )
