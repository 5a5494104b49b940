"""What `lcnet evaluate` and `lcnet calibrate` are made of."""
