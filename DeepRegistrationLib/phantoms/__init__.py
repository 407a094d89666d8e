"""Phantoms: images whose true motion is known at every point."""

from DeepRegistrationLib.phantoms.heart import HeartPair, heart
from DeepRegistrationLib.phantoms.thorax import PhantomPair, thorax

__all__ = ["HeartPair", "PhantomPair", "heart", "thorax"]
