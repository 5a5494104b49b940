"""Runs that give the numbers in docs/reference/results.md and docs/log."""
