"""What `lcnet export` is made of."""
