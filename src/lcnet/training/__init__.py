"""What `lcnet train` is made of."""
