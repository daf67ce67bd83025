"""Publishing: the export folder, the model card, push and pull."""
