"""What `lcnet serve` is made of."""
