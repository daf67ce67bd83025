"""ganforge: train, measure and publish image GANs at scale."""

__version__ = "0.1.0"
