"""Landmark pairs in the scene: their errors, live, in views, tables and plots."""
