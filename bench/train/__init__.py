"""What is measured of training."""
