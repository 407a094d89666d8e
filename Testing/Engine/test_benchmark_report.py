"""What the benchmark measures of labels, and what its page and pictures show."""

import csv
import re
from html.parser import HTMLParser
from pathlib import Path

import numpy as np
import pytest

from DeepRegistrationLib.errors import RegistrationError
from DeepRegistrationLib.reports.overlays import png
from DeepRegistrationLib.reports.report_style import STYLE
from DeepRegistrationLib.studies.benchmark.axes import log_ticks, ticks
from DeepRegistrationLib.studies.benchmark.measuring import HISTOGRAM
from DeepRegistrationLib.studies.benchmark.pair_table import each_pair
from DeepRegistrationLib.studies.benchmark.plots import boxes, thinned
from DeepRegistrationLib.studies.benchmark.results import write_results
from DeepRegistrationLib.studies.benchmark.run import explained

NASTY = '<script>alert("x")</script> & Co'


def rows(folder):
    """Eight pairs of two methods, one failed, names that would break a page."""
    found = []
    generator = np.random.default_rng(0)
    (folder / "overlays").mkdir()
    (folder / "overlays" / "one.png").write_bytes(png(np.zeros((4, 5, 3), dtype=np.uint8)))
    for k in range(8):
        for name in ("before", "optimize", NASTY):
            errors = generator.normal(0, 4 if name == "before" else 1, (20, 3))
            length = np.linalg.norm(errors, axis=1)
            statistics = {"std_log": 0.2, "var_log": 0.04, "percent_nonpositive": 0.01}
            tre = {"mean": float(length.mean()), "std": float(length.std())}
            found.append(
                {
                    "pair": f"{NASTY} {k}",
                    "method": name,
                    "name": name,
                    "status": "ok",
                    "error": "",
                    "seconds": None if name == "before" else 3.0 + k,
                    "errors": errors.tolist(),
                    "motion": (10 * errors).tolist(),
                    "tre": tre,
                    "snapped": tre,
                    "lcc": 0.8,
                    "jacobian": {
                        "region": statistics,
                        "image": statistics,
                        "histogram": generator.integers(0, 99, len(HISTOGRAM) - 1).tolist(),
                    },
                }
            )
    found[1]["overlay"] = "overlays/one.png"
    failed = {"pair": "last", "method": NASTY, "name": NASTY, "status": "failed"}
    found.append({**failed, "error": f"It failed: {NASTY}."})
    return found


class Elements(HTMLParser):
    """Tags and attributes of a page; refuses what does not close in order."""

    def __init__(self):
        super().__init__()
        self.tags, self.attributes, self.open = [], [], []

    def handle_starttag(self, tag, attrs):
        self.tags.append(tag)
        self.attributes += attrs
        if tag not in ("meta", "img", "br"):
            self.open.append(tag)

    def handle_startendtag(self, tag, attrs):
        self.tags.append(tag)
        self.attributes += attrs

    def handle_endtag(self, tag):
        assert self.open.pop() == tag


@pytest.fixture(scope="module")
def page(tmp_path_factory):
    folder = tmp_path_factory.mktemp("report")
    about = {"command": f"deepreg benchmark {NASTY}"}
    write_results(rows(folder), "lung", folder, about)
    return (folder / "report.html").read_text(encoding="utf-8")


def test_the_page_needs_nothing_from_elsewhere(page):
    parser = Elements()
    parser.feed(page)
    assert parser.open == []
    assert not {"script", "link", "iframe", "object"} & set(parser.tags)
    for name, value in parser.attributes:
        assert name not in ("href", "onload", "onclick")
        if name == "src":
            assert value.startswith("data:image/png;base64,")
    addresses = set(re.findall(r"https?://[^\"'<> ]+", page))
    assert addresses == {"http://www.w3.org/2000/svg"}  # a name, not an address to load


def test_names_are_escaped(page):
    assert "<script" not in page
    assert "&lt;script&gt;alert" in page


def test_the_page_has_every_part(page):
    for title in (
        "Against optimize",
        "RegNet, Table 1",
        "Eppenhof and Pluim, Table II; mlVIRNET, Table 1",
        "Box plots",
        "Errors by component",
        "Volume change",
        "Time against accuracy",
        "Overlays",
        "Failures",
        "How it was made",
    ):
        assert f"<h2>{title}</h2>" in page, title
    assert page.count("<svg") == page.count("</svg>") >= 10


def test_the_csv_has_a_line_a_row_and_no_landmark(tmp_path):
    table = rows(tmp_path)
    write_results(table, "lung", tmp_path, {})
    with open(tmp_path / "results.csv", newline="") as file:
        read = list(csv.DictReader(file))
    assert len(read) == len(table)
    assert float(read[1]["tre.mean"]) == float(f"{table[1]['tre']['mean']:.5g}")
    assert float(read[1]["jacobian.region.std_log"]) == 0.2
    assert read[-1]["status"] == "failed"
    assert not any("errors" in name or "motion" in name for name in read[0])


def boxes_of(axis_title, page):
    """The plot with this title."""
    [plot] = re.findall(rf'<svg role="img" aria-label="{axis_title}".*?</svg>', page, re.S)
    return plot


def test_few_pairs_are_dots_and_their_landmarks_make_the_boxes(tmp_path):
    few = [row for row in rows(tmp_path) if row["pair"].endswith((" 0", " 1"))]
    for row in few:
        row["jacobian"]["region"]["percent_nonpositive"] = 0.0
    write_results(few, "lung", tmp_path, {})
    page = (tmp_path / "report.html").read_text(encoding="utf-8")
    tre, lcc = boxes_of("TRE, mm", page), boxes_of("LCC", page)
    assert (tre.count("<rect"), tre.count("<circle")) == (2, 2 * 2 * 20)  # without "before"
    assert (lcc.count("<rect"), lcc.count("<circle")) == (0, 3 * 2)
    assert 'aria-label="J &lt;= 0 in the region' not in page  # 0 everywhere
    dots = [float(x) for x in re.findall(r'cx="([\d.]+)"', lcc)]
    for k, name in enumerate(("before", "optimize")):  # without a box, dots stand over the name
        [place] = re.findall(rf'<text x="([\d.]+)"[^>]*>{name}<', lcc)
        assert np.allclose(dots[2 * k : 2 * k + 2], float(place), rtol=0, atol=10)


def test_fewer_than_six_pairs_have_no_interval(tmp_path):
    for pairs, interval in ((5, False), (6, True)):
        folder = tmp_path / str(pairs)
        folder.mkdir()
        chosen = [row for row in rows(folder) if row["pair"][-1] in "012345"[:pairs]]
        write_results(chosen, "lung", folder, {})
        page = (folder / "report.html").read_text(encoding="utf-8")
        [summary] = re.findall(r"<h2>All measures</h2>.*?</table>", page, re.S)
        assert ("0.800 (0.800 to 0.800)" in summary) is interval
        assert "<td>0.800</td>" in summary or interval


def test_many_methods_are_numbered_below_the_boxes_and_named_in_a_key(tmp_path):
    table = [
        {**row, "method": f"{row['method']} {k}"}
        for row in rows(tmp_path)
        if row["method"] == "optimize"
        for k in range(6)
    ]
    write_results(table, "lung", tmp_path, {})
    page = (tmp_path / "report.html").read_text(encoding="utf-8")
    boxes = page[page.index("<h2>Box plots") : page.index("<h2>Errors by component")]
    assert all(f"{k + 1} optimize {k}" in boxes.partition("<svg")[0] for k in range(6))
    assert "optimize 3" not in boxes.partition("<svg")[2].partition("<p")[0]


def test_a_names_column_is_never_narrower_than_a_word():
    """Only words that are too long by themselves are broken, so the column keeps its width."""
    rules = [rule.partition("{") for rule in " ".join(STYLE.split()).split("}")]
    (rule,) = (body for names, _, body in rules if "td:first-child" in names and "width" in body)
    assert "overflow-wrap: break-word" in rule and "anywhere" not in rule


def test_a_method_without_a_histogram_is_not_in_its_key(tmp_path):
    table = rows(tmp_path)
    for row in table[:-1]:
        if row["name"] == "optimize":
            row["jacobian"]["region"] = {**row["jacobian"]["region"], "std_log": 0.0}
    write_results(table, "lung", tmp_path, {})
    page = (tmp_path / "report.html").read_text(encoding="utf-8")
    [part] = re.findall(r"<h2>Volume change</h2>.*?</section>", page, re.S)
    [key] = re.findall(r"<figcaption>(.*?)</figcaption>", part, re.S)
    assert "optimize" not in key and "alert" in key
    assert "Not drawn, as J is the same everywhere: optimize." in part


def test_labels_have_boxes_of_their_own(tmp_path):
    table = rows(tmp_path)
    for k, row in enumerate(table[:-1]):
        row["overlap"] = {
            str(label): {"dice": 0.5 + 0.01 * k, "hausdorff": 5.0, "hausdorff95": 4.0}
            for label in (1, 2)
        }
    write_results(table, "motion", tmp_path, {})
    page = (tmp_path / "report.html").read_text(encoding="utf-8")
    for name in ("RV", "myocardium"):
        assert boxes_of(f"Dice: {name}", page).count("<rect") == 3


def test_the_pairs_are_tabled_one_by_one_with_what_was_measured(tmp_path):
    table = rows(tmp_path)[:-1]
    for row in table:
        row["tre"] |= {"median": 1.25, "p95": 3.5}
        row["cpu_seconds"] = 7.77
    found = each_pair(table)
    assert found.head[:5] == [
        "pair (fixed < moving)",
        "method",
        "TRE, mm",
        "median, mm",
        "95 %, mm",
    ]
    assert "Dice" not in found.head and "MAE, mm" not in found.head
    cells = dict(zip(found.head, found.rows[0], strict=True))
    assert (cells["median, mm"], cells["95 %, mm"], cells["seconds"]) == ("1.25", "3.50", "–")
    assert cells["processor seconds"] == "7.8" and len(found.rows) == 24
    many = [{**row, "pair": f"{row['pair']} {k}"} for row in table for k in range(2)]
    assert each_pair(many) is None


def test_a_home_folder_is_not_named_in_a_failure():
    sentence = explained(RegistrationError(f"Put it into {Path.home() / 'weights'}."))
    assert sentence == "Put it into ~/weights."


@pytest.mark.parametrize("low, high", [(0, 1), (0, 0), (-3.2, 17), (0.91, 0.93), (0, 2e-5), (5, 5)])
def test_ticks_are_round_and_reach_round_the_values(low, high):
    found = ticks(low, high)
    assert found[0] <= low + 1e-12 and found[-1] >= high - 1e-12
    steps = np.diff(found)
    np.testing.assert_allclose(steps, steps[0])
    assert 1 <= len(steps) <= 8
    mantissa = steps[0] / 10 ** np.floor(np.log10(steps[0]) + 1e-9)
    assert min(abs(mantissa - m) for m in (1, 2, 5)) < 1e-6


@pytest.mark.parametrize("low, high", [(1.2, 7.8), (3, 3), (0.02, 900), (1, 10), (9.9, 10.1)])
def test_logarithmic_ticks_reach_round_the_values(low, high):
    found = log_ticks(low, high)
    assert found[0] <= low and found[-1] >= high and 2 <= len(found) <= 8


@pytest.mark.parametrize("decade", [1e-3, 0.01, 0.1, 100.0, 1000.0])
def test_a_last_bit_below_a_decade_has_ticks(decade):
    seconds = np.nextafter(decade, 0)  # as a mean of times may be
    found = log_ticks(seconds, seconds)
    assert found[0] == pytest.approx(decade, rel=1e-12) and found[-1] > seconds


def test_a_plot_of_a_thousand_pairs_stays_small():
    values = np.random.default_rng(0).normal(5, 1, 1332)
    assert len(thinned(np.sort(values))) == 300
    assert len(boxes({"a": values.tolist()}, "x", {"a": "#000"})) < 30000
