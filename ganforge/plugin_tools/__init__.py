"""For authors of plugins: the contract that every architecture keeps, and a scaffold."""
