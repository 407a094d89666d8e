"""Where the heart is in short-axis cine MRI, and its frame: for SVF-Net and the optimization."""
