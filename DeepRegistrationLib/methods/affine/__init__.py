"""Affine registration."""
