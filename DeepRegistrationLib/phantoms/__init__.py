"""Phantoms: images whose true motion is known at every point."""

from DeepRegistrationLib.phantoms.thorax import PhantomPair, thorax

__all__ = ["PhantomPair", "thorax"]
