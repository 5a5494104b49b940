"""Checks a data set for faults: `lcnet check`."""
