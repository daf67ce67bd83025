"""What networks are trained with: losses, regularizers, augmentations, and the adversarial pair."""
