"""Images with eight modes, for tests of mode coverage."""

import torch


def clusters(num, modes, seed):
    """Images [num, 1, 4, 4] scattered closely around the given ones of eight distinct images."""
    generator = torch.Generator().manual_seed(seed)
    centers = torch.randn(8, 1, 4, 4, generator=torch.Generator().manual_seed(0))
    which = torch.tensor(modes)[torch.arange(num) % len(modes)]
    return centers[which] + 0.05 * torch.randn(num, 1, 4, 4, generator=generator)
