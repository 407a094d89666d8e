"""Phantoms: images whose true motion is known at every point."""

from DeepRegistrationLib.data.phantoms.cine import CinePhantom, cine
from DeepRegistrationLib.data.phantoms.heart import HeartPair, heart
from DeepRegistrationLib.data.phantoms.thorax import PhantomPair, thorax

__all__ = ["CinePhantom", "HeartPair", "PhantomPair", "cine", "heart", "thorax"]
