"""What a run does from time to time: logs, pictures, checkpoints, health."""
