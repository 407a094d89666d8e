"""Keyboard shortcuts of the visual control, as data: the panel binds them, the help lists them."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Shortcut:
    """A key and what it does.

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
    Shortcut("Ctrl+1", "blend", "Blend: the moving image half transparent over the fixed one"),
    Shortcut("Ctrl+2", "flicker", "Flicker between fixed and moving"),
    Shortcut("Ctrl+3", "checkerboard", "Checkerboard of fixed and moving"),
    Shortcut("Ctrl+4", "difference", "Difference, moving minus fixed"),
    Shortcut("Ctrl+5", "edges", "Outlines of the moving image on the fixed one"),
    Shortcut("Ctrl+6", "jacobian", "Map of the Jacobian determinant"),
    Shortcut("Ctrl+G", "grid", "Deformed grid on and off"),
    Shortcut("Ctrl+L", "linked", "Fixed and moving side by side with linked cursors"),
    Shortcut("Ctrl+Space", "swap", "Show the other image (flicker by hand)"),
    Shortcut("Ctrl+,", "warp_less", "10 % less of the deformation"),
    Shortcut("Ctrl+.", "warp_more", "10 % more of the deformation"),
    Shortcut("Ctrl+J", "worst", "Go to the next landmark or folded place, the worst first"),
)


def shortcuts_html() -> str:
    """The shortcuts as a table for the module's help."""
    rows = "".join(f"<tr><td><b>{s.keys}</b></td><td>{s.help}</td></tr>" for s in SHORTCUTS)
    return f"<table>{rows}</table>"
