"""The 17 segments of the left ventricle (Cerqueira et al., Circulation 105:539, 2002)."""

from __future__ import annotations

SEGMENT_NAMES = {
    **{
        base + k: f"{level} {wall}"
        for base, level in ((1, "basal"), (7, "mid"))
        for k, wall in enumerate(
            ("anterior", "anteroseptal", "inferoseptal", "inferior", "inferolateral",
             "anterolateral")
        )
    },
    **{13 + k: f"apical {wall}" for k, wall in enumerate(("anterior", "septal", "inferior",
                                                          "lateral"))},
    17: "apex",
}  # fmt: skip
"""By their number."""
