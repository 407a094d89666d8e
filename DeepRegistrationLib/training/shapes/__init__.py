"""Shapes: surfaces of label maps, currents, shooting, and reference velocity fields from them."""
