"""Which trial comes next, by Optuna, and what is read from finished ones."""
