"""The MRML side: nodes in, nodes out. Imports vtk and slicer, never qt.

Inside this package positions are RAS only where a MRML call takes or gives them; everything that
is handed to the engine or comes from it is LPS (``space`` holds the conversion).
"""
