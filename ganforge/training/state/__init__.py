"""The state of a run, its checkpoints, and how it resumes."""
