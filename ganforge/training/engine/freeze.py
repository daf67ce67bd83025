"""`init.freeze`: parameters, modules and networks that training leaves as they are."""

import difflib
from collections.abc import Iterator, Mapping, Sequence

import torch
from torch import Tensor, nn

from ganforge.errors import ConfigError
from ganforge.interfaces.architecture import Phase


class Frozen:
    """The parts of the networks that no phase may change.

    A prefix names a network by its role, a module in it, or a parameter: `generator`,
    `generator.layers.0`, `generator.layers.0.weight`. Frozen parameters have no gradient and no
    optimizer state. Frozen modules run in evaluation mode: batch normalization uses its running
    statistics and keeps them, dropout is off.

    Args:
        networks: all networks by role; on the meta device they are only checked.
        prefixes: what to freeze.

    Attributes:
        parameters: frozen parameters.
        modules: frozen modules; those inside them are frozen too.
        buffers: the buffers of these modules.

    Raises:
        ConfigError: a prefix matches nothing; near names are listed.
    """

    def __init__(self, networks: Mapping[str, nn.Module], prefixes: Sequence[str] = ()) -> None:
        self.parameters: list[nn.Parameter] = []
        self.modules: list[nn.Module] = []
        for prefix in prefixes:
            parameters = [p for name, p in _named_parameters(networks) if _is_below(name, prefix)]
            modules = [m for name, m in _named_modules(networks) if name == prefix]
            if not parameters and not any(True for m in modules for _ in m.buffers()):
                raise ConfigError(_unknown(prefix, networks))
            self.parameters += parameters
            self.modules += modules
        self.buffers = [buffer for module in self.modules for buffer in module.buffers()]
        self._ids = {id(parameter) for parameter in self.parameters}
        self._values: dict[Tensor, Tensor] = {}

    def __bool__(self) -> bool:
        return bool(self.parameters or self.buffers)

    def __contains__(self, parameter: nn.Parameter) -> bool:
        return id(parameter) in self._ids

    def covers(self, network: nn.Module) -> bool:
        """Whether all parameters of a network are frozen."""
        return all(parameter in self for parameter in network.parameters())

    def without_idle(
        self, phases: Sequence[Phase], networks: Mapping[str, nn.Module]
    ) -> list[Phase]:
        """The phases that have something left to train.

        Raises:
            ConfigError: none has.
        """
        if not self.parameters:
            return list(phases)
        left = [
            phase
            for phase in phases
            if not all(self.covers(networks[role]) for role in phase.trains)
        ]
        if not left:
            raise ConfigError(
                "init.freeze freezes all that is trained, so nothing would change. Freeze less, or "
                "use the networks as they are."
            )
        return left

    @torch.no_grad()
    def begin(self) -> None:
        """Remember the values, and switch frozen modules to evaluation mode."""
        for module in self.modules:
            module.eval()
        self._values = {t: t.clone() for t in (*self.parameters, *self.buffers)}

    def restore_parameters(self) -> None:
        """Undo what an `after_step`, such as weight clipping, did to frozen parameters."""
        self._restore(self.parameters)

    def restore_buffers(self) -> None:
        """Undo what a forward pass that ignores evaluation mode did to frozen buffers."""
        self._restore(self.buffers)

    @torch.no_grad()
    def _restore(self, tensors: Sequence[Tensor]) -> None:
        if tensors:
            torch._foreach_copy_(list(tensors), [self._values[tensor] for tensor in tensors])


def _named_parameters(networks: Mapping[str, nn.Module]) -> Iterator[tuple[str, nn.Parameter]]:
    for role, network in networks.items():
        yield from network.named_parameters(prefix=role, remove_duplicate=False)


def _named_modules(networks: Mapping[str, nn.Module]) -> Iterator[tuple[str, nn.Module]]:
    for role, network in networks.items():
        yield from network.named_modules(prefix=role, remove_duplicate=False)


def _is_below(name: str, prefix: str) -> bool:
    return name == prefix or name.startswith(f"{prefix}.")


def _unknown(prefix: str, networks: Mapping[str, nn.Module]) -> str:
    names = [name for name, _ in (*_named_modules(networks), *_named_parameters(networks))]
    near = difflib.get_close_matches(prefix, names, n=3, cutoff=0.6)
    hint = f"Did you mean {' or '.join(map(repr, near))}? " if near else ""
    return (
        f"init.freeze: '{prefix}' matches no parameter. {hint}Give a network "
        f"({', '.join(sorted(networks))}), or the path of a module or parameter in it, such as "
        f"'{next((name for name in names if '.' in name), 'generator.layers.0')}'."
    )
