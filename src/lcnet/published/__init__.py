"""What others published: checkpoints, commands and label correlations."""
