"""Images on their grids: read, checked, sampled; what they show, and where the lungs are."""
