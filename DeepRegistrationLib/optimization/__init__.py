"""What the optimizing methods compute: affine alignment and instance optimization."""
