"""Random deformations and intensity changes that training pairs are made with, on any device.

Fields are float32 [3, z, y, x] in voxels, components (x, y, z): T(x) = x + u(x) in indices. Every
random choice comes from a CPU ``torch.Generator``, so that a seed gives the same pair again.
"""
