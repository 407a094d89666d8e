"""Tables of the benchmark as the papers have them, against hand calculation."""

import numpy as np
from benchmarks import rows_of
from scipy import stats

from DeepRegistrationLib.studies.benchmark.statistics import (
    values,
)
from DeepRegistrationLib.studies.benchmark.table_parts import p_text
from DeepRegistrationLib.studies.benchmark.tables import (
    eppenhof_cases,
    eppenhof_methods,
    regnet,
    svfnet,
    svfnet_tests,
    tables_of,
)

HEARTS = {"lcc-demons": 0.75, "svfnet": 0.8}


def test_tre_dash_is_of_the_landmarks_near_after_the_affine():
    rows = rows_of(
        {
            ("p", "affine"): [[3, 0, 0], [0, 8, 0], [0, 0, 9]],
            ("p", "net"): [[1, 0, 0], [0, 2, 0], [0, 0, 6]],
        }
    )
    table = regnet(rows)
    cells = {row[0]: dict(zip(table.head, row, strict=True)) for row in table.rows[:2]}
    assert cells["net"]["TRE, mm"] == "3.00 ± 2.16"
    assert cells["net"]["TRE', mm"] == "1.50 ± 0.50"
    assert cells["net"]["TRE |z|, mm"] == "2.00 ± 2.83"
    assert cells["net"]["TRE' |y|, mm"] == "1.00 ± 1.00"
    assert "MAE |x|, mm" not in table.head  # no row has one
    published = [row for row in table.rows if row[0] == "RegNet"][0]
    assert published[1:4] == ["1.19", "4.39", "1.66"] and "Sokooti" in published[-1]


def test_the_mean_absolute_error_and_its_components_have_a_spread_over_the_images():
    components = {"p": (0.3, 0.4, 0.5), "q": (0.5, 0.4, 0.9)}
    rows = [
        {"pair": pair, "method": "net", "name": "net", "status": "ok"}
        | {"mae": dict(zip("xyz", three, strict=True)) | {"sum": sum(three)}}
        for pair, three in components.items()
    ]
    table = regnet(rows)
    cells = dict(zip(table.head, table.rows[0], strict=True))
    assert cells["MAE, mm"] == "1.50 ± 0.30" and cells["MAE |x|, mm"] == "0.40 ± 0.10"
    assert cells["MAE |y|, mm"] == "0.40 ± 0.00" and cells["MAE |z|, mm"] == "0.70 ± 0.20"
    assert "TRE |x|, mm" not in table.head


def test_cases_stand_one_by_one_and_a_missing_one_is_a_dash():
    rows = rows_of({("p", "a"): [[3, 4, 0]], ("q", "a"): [[1, 0, 0]], ("p", "b"): [[2, 0, 0]]})
    table = eppenhof_cases(rows)
    assert table.head == ["case: TRE, mm", "a", "b"]
    assert table.rows[0] == ["p", "5.00 ± 0.00 / 5.00", "2.00 ± 0.00 / 2.00"]
    assert table.rows[1][2] == "–"
    assert table.rows[2][1].startswith("3.00 ± 2.00")
    assert [row[0] for row in table.rows[2:]] == ["mean of cases", "all landmarks"]
    for row, share in zip(rows, (0.2, 0.4, 0.0), strict=True):
        row["jacobian"] = {"region": {"percent_nonpositive": share}}
    assert eppenhof_cases(rows).rows[-1] == ["J <= 0, %", "0.3000", "0.0000"]


def test_snapped_and_continuous_errors_are_pooled_alike():
    rows = rows_of({("p", "a"): [[3, 4, 0]] * 3, ("q", "a"): [[1, 0, 0]]})
    for row in rows:
        row["jacobian"] = {"region": {}, "image": {}}
        row |= {"seconds_affine": 2.0, "seconds_deformable": 0.5, "seconds": 4.0}
    table = eppenhof_methods(rows)
    cells = dict(zip(table.head, table.rows[0], strict=True))
    assert cells["TRE, mm"] == "4.00 ± 1.73" and cells["snapped, mm"] == "4.00"
    assert [cells[f"{title}seconds"] for title in ("affine, ", "deformable, ", "")] == [
        "2.00",
        "0.50",
        "4.00",
    ]
    same_scanner = [row for row in table.rows if "cases 2, 4 and 9" in row[0]]
    assert [row[1] for row in same_scanner] == ["1.52 ± 0.85", "1.86"]


def test_hearts_are_tabled_by_label_with_the_share_of_better_pairs():
    rows = []
    for pair, ours, theirs in (("p", 0.9, 0.8), ("q", 0.7, 0.75), ("r", 0.8, 0.6)):
        for method, dice in (("net", ours), ("lcc-demons", theirs)):
            overlap = {"1": {"dice": dice, "hausdorff": 10 * dice}}
            row = {"pair": pair, "method": method, "name": method, "status": "ok"}
            rows.append({**row, "overlap": overlap})
    table = svfnet(rows)
    net = dict(zip(table.head, table.rows[0], strict=True))
    assert net["Dice, RV"] == "0.800 ± 0.082" and net["Hausdorff, RV, mm"] == "8.0 ± 0.8"
    assert net["better than lcc-demons, %"] == "67"
    assert [row[0] for row in table.rows[2:]] == ["SVF-Net", "LCC log-Demons"]


def test_failed_rows_count_in_no_table():
    rows = rows_of({("p", "a"): [[3, 4, 0]], ("q", "a"): [[1, 0, 0]]})
    rows[1]["status"] = "failed"
    assert values(rows, "tre") == {"a": {"p": 5.0}}
    tables = {table.name: table for table in tables_of(rows, "lung")}
    assert "p" in [row[0] for row in tables["eppenhof-2"].rows]
    for table in (tables["eppenhof-2"], tables["pairs"]):
        assert "q" not in [row[0] for row in table.rows]


def test_svfnets_reference_is_found_whatever_its_settings():
    rows = []
    for pair, best in (("a", 0.9), ("b", 0.7)):
        for method, name, dice in (
            ("lcc-demons iterations=4x2x1", "lcc-demons", 0.8),
            ("svfnet", "svfnet", best),
        ):
            overlap = {"1": {"dice": dice, "hausdorff": 1.0}}
            row = {"pair": pair, "method": method, "name": name, "status": "ok"}
            rows.append({**row, "overlap": overlap})
    table = svfnet(rows)
    cells = dict(zip(table.head, table.rows[1], strict=True))
    assert cells["better than lcc-demons, %"] == "50"
    assert "not in this run" not in table.note and "iterations=4x2x1" in table.note
    alone = svfnet([row for row in rows if row["name"] == "svfnet"])
    assert "lcc-demons is not in this run" in alone.note


def test_svfnets_tests_are_scipys_region_by_region():
    generator = np.random.default_rng(5)
    drawn = {name: generator.normal(center, 0.05, (12, 2)) for name, center in HEARTS.items()}
    rows = []
    for name, numbers in drawn.items():
        for k, (dice, logarithm) in enumerate(numbers):
            rows.append(
                {
                    "pair": str(k),
                    "method": name,
                    "name": name,
                    "status": "ok",
                    "overlap": {"3": {"dice": dice, "hausdorff": 10 * (1 - dice)}},
                    "jacobian": {"labels": {"3": {"var_log": logarithm}}},
                }
            )
    rows.append({**rows[0], "pair": "only one method has it"})
    table = svfnet_tests(rows)
    own, other = drawn["svfnet"], drawn["lcc-demons"]
    assert [row[:4] for row in table.rows] == [
        ["svfnet", measure, "LV", "12"]
        for measure in ("Dice", "Hausdorff, mm", "variance of log J")
    ]
    for row, first, second, lower in (
        (table.rows[0], own[:, 0], other[:, 0], False),
        (table.rows[1], 10 * (1 - own[:, 0]), 10 * (1 - other[:, 0]), True),
        (table.rows[2], own[:, 1], other[:, 1], True),
    ):
        better = first < second if lower else first > second
        assert row[6] == f"{100 * better.mean():.0f}"
        assert row[7] == p_text(stats.wilcoxon(first, second).pvalue)
        assert row[8] == p_text(stats.ttest_ind(first, second, equal_var=False).pvalue)
    assert svfnet_tests([row for row in rows if row["name"] == "svfnet"]) is None


def test_every_length_in_regnets_table_says_millimeters():
    table = regnet(rows_of({("p", "affine"): [[1.0, 0, 0], [0, 2.0, 0]]}))
    lengths = table.head[1:-1]
    assert len(lengths) == 9 and all(title.endswith(", mm") for title in lengths)
