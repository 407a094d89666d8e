"""The report of a registration from the scene, and its pictures."""
