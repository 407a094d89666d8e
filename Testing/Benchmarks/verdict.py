"""How well the verdict tells wrong results from good ones, where the truth is known.

    python -m Testing.Benchmarks.verdict [--data FOLDER]

Phantoms and real pairs are registered well, badly and wrongly, and good results are changed (see
``verdict_failures``). Each result is measured and judged as by the commands, without landmarks and
labels, by which its true error is measured then. Writes VERDICT.md beside this file. What was
measured is kept in build/benchmarks/verdict, so that a run that was ended goes on. About a quarter
of an hour on one core.
"""

from __future__ import annotations

import argparse
import json
import time
from pathlib import Path
from typing import Any

import torch

from DeepRegistrationLib.evaluation.measures import measure
from DeepRegistrationLib.reports.plain_report import json_safe
from DeepRegistrationLib.transforms import Transform, read_transform, write_transform
from Testing.Benchmarks.verdict_failures import results
from Testing.Benchmarks.verdict_pairs import Source, sources
from Testing.Benchmarks.verdict_tables import Row, page

HERE = Path(__file__).parent
STORE = HERE.parent.parent / "build" / "benchmarks" / "verdict"


def transforms_of(source: Source, folder: Path) -> dict[str, Transform]:
    """Transforms of a pair's registrations that were made before, by title."""
    files = folder.glob(f"{source.name.replace(' ', '_')} - *.h5")
    return {file.stem.split(" - ", 1)[1]: read_transform(file) for file in files}


def rows_of(source: Source, another: Source, folder: Path) -> list[Row]:
    """All results of a pair, measured; read from the folder where they were measured before."""
    name = source.name.replace(" ", "_")
    file = folder / f"{name}.json"
    if file.exists():
        return [Row(**values) for values in json.loads(file.read_text(encoding="utf-8"))]
    pair, other = source.make(), another.make()
    kept = transforms_of(source, folder)
    expected, rows = pair.least, []
    written = set(kept)
    for result in results(pair, other, kept):
        for title in kept.keys() - written:
            write_transform(kept[title], folder / f"{name} - {title}.h5")
            written.add(title)
        if result.title == "default":
            expected = max(expected, result.error)
        begin = time.process_time()
        with torch.no_grad():
            quality = measure(
                result.transform, fixed=pair.fixed, moving=result.moving, region=result.region
            )
        seconds = time.process_time() - begin
        rows.append(
            Row(
                pair=pair.name,
                kind=pair.kind,
                tuning=pair.tuning,
                title=result.title,
                error=result.error if result.error < 1e6 else None,
                expected=expected,
                away=result.away,
                quality=json_safe(quality),
                seconds=round(seconds, 3),
            )
        )
    plain: list[dict[str, Any]] = [row.__dict__ for row in rows]
    file.write_text(json.dumps(plain), encoding="utf-8")
    print(f"{pair.name}: {len(rows)} results", flush=True)
    return rows


def main() -> None:
    """Command line."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--data", type=Path, help="folder with the real pairs")
    parser.add_argument("--only", nargs="+", help="names of pairs; the page has those measured")
    parser.add_argument("--again", action="store_true", help="forget what was measured before")
    options = parser.parse_args()
    STORE.mkdir(parents=True, exist_ok=True)
    for old in STORE.iterdir() if options.again else ():
        old.unlink()
    found = sources(options.data)
    rows: list[Row] = []
    for number, source in enumerate(found):
        if options.only and source.name not in options.only:
            continue
        alike = [s for s in found if s.kind == source.kind and s.patient != source.patient]
        rows += rows_of(source, alike[number % len(alike)], STORE)
    (HERE / "VERDICT.md").write_text(page(rows), encoding="utf-8")


if __name__ == "__main__":
    main()
