"""elastix (package itk-elastix), in a process of its own."""
