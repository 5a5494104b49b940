"""What `lcnet check` is made of."""
