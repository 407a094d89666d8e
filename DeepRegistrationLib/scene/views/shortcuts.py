"""Keyboard shortcuts of the visual control, as data: the panel binds them, the help lists them."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Shortcut:
    """A key and what it does.

    Keys that Slicer itself takes (Ctrl+0 to Ctrl+5, Ctrl+F, G, H, O, S, W) would reach neither.

    Attributes:
        keys: As Qt writes key sequences.
        action: Name for the panel's code.
        help: For the user.
    """

    keys: str
    action: str
    help: str


SHORTCUTS = (
    Shortcut("Ctrl+R", "register", "Register, or cancel the registration"),
    Shortcut("Alt+0", "plain", "Only the fixed image: end of the comparison"),
    Shortcut("Alt+1", "blend", "Blend: the moving image half transparent over the fixed one"),
    Shortcut("Alt+2", "flicker", "Flicker between fixed and moving"),
    Shortcut("Alt+3", "checkerboard", "Checkerboard of fixed and moving"),
    Shortcut("Alt+4", "difference", "Difference, moving minus fixed"),
    Shortcut("Alt+5", "edges", "Outlines of the moving image on the fixed one"),
    Shortcut("Alt+6", "jacobian", "Map of the Jacobian determinant"),
    Shortcut("Alt+7", "displacement", "Map of the displacement"),
    Shortcut("Alt+U", "predicted", "Map of the error estimate"),
    Shortcut("Alt+8", "grid", "Deformed grid on and off"),
    Shortcut("Alt+9", "linked", "Fixed and moving side by side with linked cursors, on and off"),
    Shortcut("Alt+S", "swap", "Show the other image (flicker by hand)"),
    Shortcut("Alt+,", "warp_less", "10 % less of the deformation"),
    Shortcut("Alt+.", "warp_more", "10 % more of the deformation"),
    Shortcut("Alt+J", "worst", "Go to the next landmark, the largest error first"),
)


def shortcuts_html() -> str:
    """The shortcuts as a table for the module's help."""
    rows = "".join(f"<tr><td><b>{s.keys}</b></td><td>{s.help}</td></tr>" for s in SHORTCUTS)
    return f"<table>{rows}</table>"
