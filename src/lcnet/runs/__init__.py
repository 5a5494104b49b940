"""A run from begin to end, and many runs compared."""
