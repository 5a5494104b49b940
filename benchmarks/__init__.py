"""Runs that give the numbers in docs/benchmarks.md."""
