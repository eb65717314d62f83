"""A fitted head with all that it needs, as one file: save, load, predict, export, evaluate."""
