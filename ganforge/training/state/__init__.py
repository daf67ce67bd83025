"""What a run is made of, its checkpoints, and how it resumes."""
