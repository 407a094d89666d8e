"""The networks, one file each: ``nn.Module`` only; what they need and give is in their docstrings.

Import from the files: nothing is loaded here.
"""
