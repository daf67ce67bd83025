"""Images: tensors, PIL and bytes; sizes, grids, animations."""
