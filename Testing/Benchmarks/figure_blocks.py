"""The tables of README.md and docs/ that are made from the measured figures."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any

from DeepRegistrationLib.methods.expected_accuracy import decimals
from Testing.Benchmarks.figure_file import STRUCTURES, Content, Figure, find

LUNGS = ("4D-CT T00/T50", "follow-up CT")
MOTION = "ACDC 061-080, end-diastole to end-systole"
PATIENTS = "380 pairs of ACDC 061-080, aligned"
ALIGNED, UNALIGNED = "40 pairs of ACDC 061-080, aligned", "40 pairs of ACDC 061-080, unaligned"
DEFORMED = "known deformations of four lung CTs"
HEARTS = "40 images of ACDC 061-080"
PHANTOM = "thorax phantom, 160 x 128 x 144"

NETWORKS = {
    "corrnet": ("corrnet", "correlation network (ours)"),
    "regnet": ("regnet-preview", "RegNet (preview)"),
    "mlvirnet": ("mlvirnet-preview", "mlVIRNET (preview)"),
    "eppenhof": ("eppenhof-preview", "Eppenhof & Pluim (preview)"),
    "svfnet": ("svfnet", "SVF-Net"),
}


@dataclass(frozen=True)
class Line:
    """A method with its settings, as a line of a table.

    Attributes:
        title: What the line is called.
        of: Fields that its figures have in common.
    """

    title: str
    of: dict[str, Any]


def line(method: str, title: str = "", **settings: Any) -> Line:
    """A line; of a network with its shipped weights."""
    weights, name = NETWORKS.get(method, ("", f"`{method}`"))
    common = {"method": method, **settings}
    if weights:
        common["weights"] = weights
    named = title or name
    if settings.get("quality"):
        named += f", `{settings['quality']}`"
    return Line(f"{named}, refined" if settings.get("refine") else named, common)


BEFORE = line("before", "before registration")
OPTIMIZE = line("optimize", "**`optimize`** (default)")
IMAGES_ALONE = line("optimize", "`optimize`, `segmentation=false`", options="segmentation=false")
NO_MASK = line("optimize", "`optimize`, without masks (`masks=none`)", options="no mask")
CONVEXADAM = line("convexadam", "convexAdam 0.2.0")
GREEDY = line("greedy", "greedy 1.4, lung mask")
ANTS = line("ants-syn", "ANTs SyN (antspyx 0.6), lung mask")
ELASTIX = line("elastix", "elastix Par0011, lung mask", options="Par0011, lung mask")
ELASTIX_PLAIN = line("elastix", "elastix Par0011, no mask", options="Par0011, no mask")
DEMONS = line("lcc-demons", "LCC log-Demons (ours)")
SYMMETRIC = line("symmetric-demons", "symmetric demons (SimpleITK)")


@dataclass
class Notes:
    """The footnotes of one table: what was chosen on the data of a figure."""

    content: Content
    used: list[str] = field(default_factory=list)

    def mark(self, figure: Figure) -> str:
        name = figure.get("chosen", "")
        if not name:
            return ""
        if name not in self.used:
            self.used.append(name)
        return f" <sup>{'abcdefgh'[self.used.index(name)]}</sup>"

    @property
    def text(self) -> str:
        chosen = self.content["chosen"]
        parts = [f"<sup>{'abcdefgh'[k]}</sup> {chosen[name]}" for k, name in enumerate(self.used)]
        return "\n\n" + " ".join(parts) if parts else ""


def number(figure: Figure) -> str:
    """A value as tables show it: mm and Dice with two decimals, the rest as it is meant."""
    value, unit = figure["value"], figure.get("unit", "")
    if unit == "s":
        return decimals(value, 1 if value < 1 else 0)
    if unit == "%":
        return f"{value:.2g}" if value < 1 else f"{value:.3g}"
    if unit == "mm" or figure["metric"].startswith("Dice"):
        return decimals(value, 1 if figure["metric"].startswith("Hausdorff") else 2)
    return f"{value:g}"


def table(head: Sequence[str], rows: Sequence[Sequence[str]], notes: Notes | None = None) -> str:
    """Markdown, with its footnotes."""
    lines = [head, ["---"] * len(head), *rows]
    text = "\n".join(f"| {' | '.join(cells)} |" for cells in lines)
    return text + (notes.text if notes else "")


def cell(notes: Notes, of: Line, data: str, metric: str, *, spread: bool = False) -> str:
    """A figure with its footnote, and its standard deviation where that is asked for."""
    figure = find(notes.content, **of.of, data=data, metric=metric)
    if figure is None:
        return ""
    text = number(figure)
    if spread and "spread" in figure:
        text += f" ± {number({**figure, 'value': figure['spread']})}"
    return text + notes.mark(figure)


def _with_median(notes: Notes, of: Line, data: str) -> str:
    mean, median = (find(notes.content, **of.of, data=data, metric=m) for m in _TRE)
    if mean is None:
        return ""
    return number(mean) + (f" ({number(median)})" if median else "") + notes.mark(mean)


_LUNG_NETWORKS = ("corrnet", "regnet", "mlvirnet", "eppenhof")
_TRE = ("TRE", "TRE median")


def _head(content: Content, data: str, what: str) -> str:
    about = content["data"][data]
    return f"{about['title']}: {what} ({about['n']} {about['of']})"


def accuracy(content: Content) -> str:
    """README's table: one line a method."""
    notes = Notes(content)
    networks = [line(name) for name in (*_LUNG_NETWORKS, "svfnet")]
    lines = [BEFORE, OPTIMIZE, *networks, GREEDY, CONVEXADAM, ELASTIX, DEMONS, SYMMETRIC]
    head = ["", *(_head(content, data, "mean TRE, mm") for data in LUNGS)]
    rows = [
        [
            each.title,
            *(cell(notes, each, data, "TRE") for data in LUNGS),
            seconds(content, each, LUNGS[:1]),
            cell(notes, each, MOTION, "Dice"),
        ]
        for each in lines
    ]
    head += ["seconds, 4D-CT", _head(content, MOTION, "mean Dice")]
    return table(head, rows, notes)


def lungs(content: Content) -> str:
    """All that was measured on the two pairs of lung CT."""
    return _lungs(content, [line(name) for name in _LUNG_NETWORKS])


def corrnet(content: Content) -> str:
    """The same, for the page of the correlation network."""
    return _lungs(content, [line("corrnet")])


def _lungs(content: Content, networks: Sequence[Line]) -> str:
    notes = Notes(content)
    own = [OPTIMIZE, *(line("optimize", quality=name) for name in ("fast", "best"))]
    variants = []
    for each in networks:
        name = each.of["method"]
        finer = [line(name, quality="best")] if name == "corrnet" else []
        variants += [each, *finer, line(name, refine=True)]
    lines = [
        BEFORE,
        line("affine"),
        *own,
        NO_MASK,
        *variants,
        GREEDY,
        CONVEXADAM,
        ANTS,
        ELASTIX,
        ELASTIX_PLAIN,
    ]
    heads = [_head(content, data, "TRE, mm, mean (median)") for data in LUNGS]
    rows = []
    for each in lines:
        folding = [cell(notes, each, data, "folding in the lungs") for data in LUNGS]
        rows.append(
            [
                each.title,
                *(_with_median(notes, each, data) for data in LUNGS),
                ", ".join(part for part in folding if part),
                seconds(content, each, LUNGS),
            ]
        )
    return table(["", *heads, "J <= 0 in the lungs, %", "seconds, one thread"], rows, notes)


def seconds(content: Content, of: Line, data: Sequence[str]) -> str:
    """Wall or processor seconds with the machine."""
    for metric, kind in (("seconds", ""), ("processor seconds", ", processor time")):
        found = [find(content, **of.of, data=name, metric=metric) for name in data]
        figures = [figure for figure in found if figure]
        if figures:
            machine = figures[0]["machine"].split(",")[0]
            return f"{', '.join(map(number, figures))} ({machine}{kind})"
    return ""


def motion(content: Content) -> str:
    """Between the phases of one heart."""
    notes = Notes(content)
    lines = [BEFORE, OPTIMIZE, IMAGES_ALONE, line("svfnet"), line("svfnet", refine=True)]
    rows = [
        [
            each.title,
            cell(notes, each, MOTION, "Dice", spread=True),
            cell(notes, each, MOTION, "folding"),
        ]
        for each in [*lines, DEMONS, SYMMETRIC]
    ]
    return table(["", "mean Dice", "J <= 0 in the heart, %"], rows, notes)


def patients(content: Content) -> str:
    """Between patients, as in SVF-Net's paper."""
    notes = Notes(content)
    kinds = ("Dice", "Hausdorff distance")
    head = ["", *(f"{kind}, {name}" for kind in kinds for name in STRUCTURES)]
    lines = [line("before", "rigid, by segmentations"), line("svfnet"), DEMONS]
    rows = [[each.title, *(cell(notes, each, PATIENTS, m) for m in head[1:])] for each in lines]
    shares = [
        [which[0].upper() + which[1:], *(_share(content, text, name) for name in ("", *STRUCTURES))]
        for which, text in (
            ("better Dice", "pairs with better {mean}Dice than LCC log-Demons"),
            (
                "smaller Hausdorff distance",
                "pairs with smaller {mean}Hausdorff distance than LCC log-Demons",
            ),
        )
    ]
    beaten = table(["SVF-Net, % of the pairs", "mean", *STRUCTURES], shares)
    return table([h.replace("distance", "mm") for h in head], rows, notes) + "\n\n" + beaten


def _share(content: Content, text: str, structure: str) -> str:
    metric = text.format(mean="" if structure else "mean ") + (f", {structure}" * bool(structure))
    figure = find(content, **line("svfnet").of, data=PATIENTS, metric=metric)
    return number(figure) if figure else ""


def images_alone(content: Content) -> str:
    """Hearts of two patients."""
    notes = Notes(content)
    lines = [BEFORE, OPTIMIZE, IMAGES_ALONE, line("svfnet"), line("svfnet", refine=True), DEMONS]
    rows = [
        [each.title, *(cell(notes, each, data, "Dice") for data in (UNALIGNED, ALIGNED))]
        for each in lines
    ]
    heads = ["images alone", "aligned by segmentations"]
    return table(["mean Dice", *heads], rows, notes)


def heartnet(content: Content) -> str:
    """What was measured of HeartNet, as a list of two columns."""
    notes = Notes(content)
    own = [f for f in content["figures"] if f.get("weights") == "heartnet" and f["data"] == HEARTS]
    for figure in own:
        notes.mark(figure)
    rows = [[f["metric"], f"{f['value']:g} {f.get('unit', '')}".strip()] for f in own]
    return table(["measured", "value"], rows, notes).replace("\n\n<sup>a</sup> ", "\n\n")


def heartsegnet(content: Content) -> str:
    """How well HeartSegNet segments the ventricles."""
    of = {"method": "heartsegnet", "weights": "heartsegnet", "data": HEARTS}
    heads = ["Dice", *(f"Dice, {name}" for name in STRUCTURES)]
    figures = [find(content, **of, metric=metric) for metric in heads]
    values = [number(figure) if figure else "" for figure in figures]
    return table(["mean Dice", *heads[1:]], [values])


def phantom(content: Content) -> str:
    """The demo's pair."""
    values = [cell(Notes(content), each, PHANTOM, "TRE") for each in (BEFORE, OPTIMIZE)]
    about = content["data"][PHANTOM]["about"]
    return f"Mean landmark error: {values[0]} mm before, {values[1]} mm after. {about}"


BLOCKS: dict[str, Callable[[Content], str]] = {
    "accuracy": accuracy,
    "lungs": lungs,
    "corrnet": corrnet,
    "motion": motion,
    "patients": patients,
    "images-alone": images_alone,
    "heartnet": heartnet,
    "heartsegnet": heartsegnet,
    "phantom": phantom,
}
