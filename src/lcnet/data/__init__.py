"""Pictures and their labels."""
