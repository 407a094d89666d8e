"""The formats of transforms, a module each; found by their names, without loading PyTorch.

A module of this folder is a format under its own name, and
:class:`DeepRegistrationLib.files.format.Format` says what it has to hold.
"""
