"""The project's tables of accuracy: ``deepreg benchmark`` on real data, peers in the same run.

    python -m Testing.Benchmarks.results --data FOLDER [--only RUN ...] [--limit N]

Each run goes on where it was stopped (rows in build/benchmarks). RESULTS.md beside this file is
made of all runs that are there, also after an interruption; --write-only runs nothing.
"""

from __future__ import annotations

import argparse
import json
import re
import shutil
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from DeepRegistrationLib.cli import main as deepreg
from DeepRegistrationLib.methods.weights import weight_cards
from DeepRegistrationLib.studies.benchmark import peers
from DeepRegistrationLib.studies.benchmark.results import CSV, JSON, markdown
from DeepRegistrationLib.studies.benchmark.table_parts import Table
from Testing.Benchmarks.cases import write_lung_list, write_popi_list

HERE = Path(__file__).parent
RUNS = HERE.parent.parent / "build" / "benchmarks"
_OPTIMIZE = ("optimize", "optimize:quality=fast", "optimize:quality=best")
_ELASTIX = ("bspline-1r2000", "bspline-3r500", "par0011-mask", "par0011")
_MARK = "<!-- run: {} -->"  # finds a run's part again when its title has changed
_PATIENTS = "patient061..patient080"  # of ACDC: held out by all trainings


@dataclass(frozen=True)
class Run:
    """One call of ``deepreg benchmark``.

    Attributes:
        title: Its heading in RESULTS.md.
        source: Folder of the data set.
        options: Of the command, but for data and output.
        limited: Whether --limit counts.
    """

    title: str
    source: str
    options: tuple[str, ...]
    limited: bool = False


def networks(*methods: str) -> tuple[str, ...]:
    """Those that have weights, alone and refined by the optimization."""
    found = [name for name in methods if weight_cards(name)]
    return tuple(text for name in found for text in (name, f"{name}:refine=true"))


def runs() -> dict[str, Run]:
    """All of them by name."""
    lungs = networks("corrnet", "mlvirnet", "eppenhof", "regnet")
    elastix = tuple(f"elastix:recipe={name}" for name in _ELASTIX)
    hearts = ("--patients", _PATIENTS)
    return {
        "lungs": Run(
            "Lungs, CT: landmarks",
            "",
            (
                *("--methods", *_OPTIMIZE, "optimize:masks=none", "affine"),
                *("corrnet:quality=best", *lungs),
                *(peers.Greedy.name, peers.ConvexAdam.name, *elastix[:2]),
            ),
        ),
        "elastix": Run(
            "Lungs, CT: elastix with the parameters of EMPIRE10 (an hour or more)",
            "",
            ("--methods", *elastix[2:]),
        ),
        "ants": Run("Lungs, CT: ANTs SyN", "", ("--methods", peers.AntsSyn.name)),
        "popi": Run(
            "Lungs, CT: coarse phases of one patient (POPI), on which settings were chosen",
            "",
            ("--methods", *_OPTIMIZE, "optimize:masks=none", "affine", *lungs[::2]),
        ),
        "synthetic": Run(
            "Lungs, CT: known deformations (RegNet's MAE)",
            "",
            (
                *("--protocol", "synthetic", "--methods", "optimize", "affine"),
                *(lungs[::2] + (elastix[1],)),
            ),
        ),
        "motion": Run(
            "Hearts, cine MRI (ACDC 061-080): end-diastole to end-systole, no masks",
            "cardiac_acdc",
            (
                *("--protocol", "motion", *hearts, "--methods", *_OPTIMIZE[:2]),
                "optimize:segmentation=false",
                *(*networks("svfnet"), "lcc-demons", peers.SymmetricDemons.name),
            ),
        ),
        "hearts": Run(
            "Hearts, cine MRI (ACDC 061-080): between patients, end-diastole",
            "cardiac_acdc",
            (
                *("--protocol", "heart", "--alignment", "segmentations", *hearts),
                *("--methods", *networks("svfnet"), "lcc-demons", "optimize"),
            ),
            limited=True,
        ),
    }


def command(name: str, run: Run, data: Path, limit: int | None) -> list[str] | None:
    """The command line of a run; None where its data are missing."""
    output = RUNS / name
    if run.source:
        source = f"acdc:{data / run.source}"
        if not (data / run.source).is_dir():
            return None
    else:
        source = str(RUNS / f"{name}.csv")
        write = write_popi_list if name == "popi" else write_lung_list
        if not write(data, Path(source)):
            return None
    limits = ["--limit", str(limit)] if run.limited and limit is not None else []
    return ["benchmark", source, *run.options, *limits, "-o", str(output), "--resume"]


def section(name: str, result: dict[str, Any]) -> str:
    """A run's part of RESULTS.md below its heading, from its results.json."""
    about = result["about"]
    lines = [
        _MARK.format(name),
        "",
        f"{about['pairs']} pairs. Machine: {about['machine']}. PyTorch {about['torch']}, "
        f"deepregistration {about['deepregistration']}.",
        "",
        f"`{about['command']}`",
        "",
        *(markdown(Table(**table)) for table in result["tables"]),
    ]
    failures = result["failures"]
    lines += [f"- failed: {f['pair']}, {f['method']}: {f['error']}" for f in failures]
    return "\n".join(lines).rstrip() + "\n"


def sections_of(page: str) -> dict[str, str]:
    """The parts of a RESULTS.md below their headings, by the names of the runs."""
    parts = re.split(_MARK.format("(.*)"), page)[1:]
    below = (re.split(r"^## ", part, flags=re.MULTILINE)[0] for part in parts[1::2])
    return {
        name: f"{_MARK.format(name)}{part}".rstrip() + "\n"
        for name, part in zip(parts[::2], below, strict=True)
    }


def write(output: Path, note: str) -> None:
    """RESULTS.md, and the rows of each run as CSV, from what is in ``RUNS``.

    The parts of runs that are not there stay as they are.

    Raises:
        SystemExit: Nothing is there; what was written before stays.
    """
    if not any((RUNS / name / JSON).is_file() for name in runs()):
        sys.exit(f"{RUNS} holds no run, so that RESULTS.md stays as it is.")
    page = output / "RESULTS.md"
    before = sections_of(page.read_text(encoding="utf-8")) if page.is_file() else {}
    head = (
        "# Accuracy and time, measured\n\nMade by `make bench`, which runs `deepreg benchmark` "
        "([how it measures](../../docs/benchmark.md)) with other groups' tools as further methods. "
        "Published figures stand below the measured ones, with their source; they refer to the "
        f"papers' own data. {note}"
    )
    parts = [head.rstrip() + "\n"]
    (output / "rows").mkdir(exist_ok=True)
    for name, run in runs().items():
        if (RUNS / name / JSON).is_file():
            before[name] = section(name, json.loads((RUNS / name / JSON).read_text()))
            shutil.copyfile(RUNS / name / CSV, output / "rows" / f"{name}.csv")
        if name in before:
            parts.append(f"## {run.title}\n\n{before[name]}")
    page.write_text("\n".join(parts), encoding="utf-8")


def main() -> None:
    """Run the benchmarks and write their tables."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--data", type=Path, required=True, help="folder with the data sets")
    parser.add_argument("--only", nargs="+", choices=tuple(runs()), default=list(runs()))
    parser.add_argument("--limit", type=int, default=50, help="pairs of hearts between patients")
    parser.add_argument("--note", default="", help="what is special about this run")
    parser.add_argument("--write-only", action="store_true", help="make RESULTS.md, run nothing")
    options = parser.parse_args()
    if not options.data.is_dir():
        parser.error(f"{options.data} is not a folder; give the folder with the data sets")
    failed = False
    for name in () if options.write_only else options.only:
        call = command(name, runs()[name], options.data, options.limit)
        if call is None:
            print(f"{name}: left out, as its data are not in {options.data}")
            continue
        failed |= deepreg(call) != 0
    write(HERE, options.note)
    sys.exit(failed)


if __name__ == "__main__":
    main()
