"""What a run does between steps: one task per file, and what the tasks are made of."""
