"""Instance optimization: a deformation fitted to the pair itself."""
