"""Figures that the papers print, each with its source, to stand beside the measured ones.

They were measured on the papers' own data: SPREAD and DIR-Lab CT, the papers' cardiac MRI.
"""

from __future__ import annotations

from dataclasses import dataclass, field

REGNET = "Sokooti et al., MICCAI 2017, Table 1 (SPREAD, not public)"
EPPENHOF = "Eppenhof & Pluim, IEEE TMI, Tables II and III (DIR-Lab 4DCT)"
SVFNET = "Rohe et al., MICCAI 2017, Figure 3 and text (187 cardiac MRI)"
VIRNET = "Hering et al., MICCAI 2019, Table 1 and text (DIR-Lab 4DCT)"
OBSERVERS = "Castillo et al. 2009 (DIR-Lab 4DCT)"
PTV = "Vishnevskiy et al. 2017 (DIR-Lab 4DCT, voxels as published)"
IDIR = "Wolterink et al. 2022 (DIR-Lab 4DCT, voxels as published)"


@dataclass(frozen=True)
class Published:
    """A row of a paper's table.

    Attributes:
        method: What the paper calls it.
        source: Paper, table and data.
        values: By the columns of :mod:`DeepRegistrationLib.studies.benchmark.tables`, as text.
    """

    method: str
    source: str
    values: dict[str, str] = field(default_factory=dict)


PUBLISHED: dict[str, tuple[Published, ...]] = {
    "regnet": (
        Published("RegNet", REGNET, {"mae": "1.19", "tre": "4.39", "near": "1.66"}),
        Published("RegNet, validation", REGNET, {"mae": "1.17"}),
        Published("RegNet, single scale", REGNET, {"mae": "1.70"}),
        Published("RegNet, early fusion", REGNET, {"mae": "1.26"}),
        Published("B-spline, 3 resolutions", REGNET, {"tre": "2.19", "near": "1.28"}),
        Published("B-spline, 1 resolution", REGNET, {"tre": "5.48", "near": "2.59"}),
        Published("affine", REGNET, {"tre": "8.08", "near": "5.39"}),
    ),
    "eppenhof": (
        Published(
            "3D U-Net", EPPENHOF, {"tre": "2.17 ± 1.89", "seconds": "0.58", "folding": "1.28"}
        ),
        Published(
            "3D U-Net, cases 2, 4 and 9, of the scanner that it was trained on",
            EPPENHOF,
            {"tre": "1.52 ± 0.85"},
        ),
        Published(
            "3D U-Net, cases 2, 4 and 9, trained on another scanner", EPPENHOF, {"tre": "1.86"}
        ),
        Published("elastix, mask", EPPENHOF, {"tre": "1.32 ± 1.24", "seconds": "828"}),
        Published("elastix, no mask", EPPENHOF, {"tre": "2.17 ± 3.22"}),
        Published("observers", OBSERVERS, {"tre": "0.70 to 1.13"}),
        Published("pTVreg", PTV, {"snapped": "0.92"}),
        Published("isoPTV", PTV, {"snapped": "0.95"}),
        Published("IDIR", IDIR, {"snapped": "1.07"}),
    ),
    "virnet": (
        Published("mlVIRNET", VIRNET, {"tre": "2.19 ± 1.62", "dice": "0.921", "folding": "0.3"}),
        Published("VIRNET, single level", VIRNET, {"tre": "3.72", "dice": "0.883"}),
        Published("DLIR", VIRNET, {"tre": "2.64"}),
        Published("progressive network", VIRNET, {"tre": "3.68"}),
        Published("before", VIRNET, {"dice": "0.635"}),
    ),
    "svfnet": (
        Published("SVF-Net", SVFNET, {"seconds": "0.03 (Titan X), 6 (laptop CPU)", "wins": "75"}),
        Published("LCC log-Demons", SVFNET, {"seconds": "240"}),
    ),
}
