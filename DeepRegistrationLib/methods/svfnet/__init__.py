"""SVF-Net (Rohe et al., MICCAI 2017)."""
