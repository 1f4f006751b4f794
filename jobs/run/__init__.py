"""Running tasks: the driver, one attempt, retries, memory, stopping, workers and SLURM."""
