"""mlVIRNET (Hering et al., BVM 2019)."""
