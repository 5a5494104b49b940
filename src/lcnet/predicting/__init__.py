"""What `lcnet predict` is made of."""
