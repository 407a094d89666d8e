"""mlVIRNET (Hering et al., MICCAI 2019)."""
