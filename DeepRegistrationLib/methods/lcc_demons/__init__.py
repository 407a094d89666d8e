"""Symmetric log-Demons with local correlation (Lorenzi et al. 2013)."""
