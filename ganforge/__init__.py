"""ganforge: train, measure and publish image GANs at scale."""

from typing import TYPE_CHECKING, Any

__version__ = "0.1.0"

if TYPE_CHECKING:
    from ganforge.inference.pretrained import PretrainedGan

    from_pretrained = PretrainedGan.from_pretrained

__all__ = ["__version__", "from_pretrained"]


def __getattr__(name: str) -> Any:
    """Import `from_pretrained` when it is first used: `import ganforge` must not load torch."""
    if name == "from_pretrained":
        from ganforge.inference.pretrained import PretrainedGan

        return PretrainedGan.from_pretrained
    raise AttributeError(f"module 'ganforge' has no attribute '{name}'")
