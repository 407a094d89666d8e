"""Training: one recipe a network, one loop for all."""
