"""What `lcnet evaluate`, `lcnet calibrate` and `lcnet ensemble` are made of."""
