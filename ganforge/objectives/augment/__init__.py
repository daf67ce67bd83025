"""Differentiable augmentation of what the discriminator sees: ADA and DiffAugment."""
