"""What a run will take, before it runs: memory, time, data and money."""
