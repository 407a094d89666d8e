"""MRML nodes to plain data and back, and changes of the scene that can be taken back."""
