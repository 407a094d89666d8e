"""RegNet (Sokooti et al., MICCAI 2017)."""
