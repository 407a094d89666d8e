"""The HTML report: well-formed, self-contained, escaped, and it says what it was given."""

from __future__ import annotations

import base64
import re
import subprocess
import sys
from dataclasses import replace
from html.parser import HTMLParser
from xml.etree import ElementTree

import numpy as np
import pytest

from DeepRegistrationLib.errors import RegistrationError
from DeepRegistrationLib.evaluation.landmarks import paired_errors
from DeepRegistrationLib.images.geometry import Grid
from DeepRegistrationLib.reports.html_comparison import comparison_page
from DeepRegistrationLib.reports.html_report import (
    LandmarkErrors,
    Picture,
    ReportContent,
    html_page,
    write_html,
)
from DeepRegistrationLib.reports.identity import ImageIdentity, TransformIdentity
from DeepRegistrationLib.reports.svg_plots import (
    boxes_svg,
    cumulative_svg,
    error_bins,
    histogram_svg,
)
from DeepRegistrationLib.reports.verdict import Finding, Verdict

PNG = b"\x89PNG\r\n\x1a\nnot really"
NASTY = "<script>alert('x')</script> & \"quoted\""
VOID = {"meta", "img", "br", "link", "input", "hr"}


class Page(HTMLParser):
    """Tags, attributes and text of a page; fails where tags do not match."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.tags: list[tuple[str, dict]] = []
        self.text = ""
        self._open: list[str] = []
        self.feed(text)
        assert not self._open

    def handle_starttag(self, tag, attrs):
        self.tags.append((tag, dict(attrs)))
        if tag not in VOID:
            self._open.append(tag)

    def handle_startendtag(self, tag, attrs):
        self.tags.append((tag, dict(attrs)))

    def handle_endtag(self, tag):
        assert self._open.pop() == tag

    def handle_data(self, data):
        self.text += data

    def rows(self) -> int:
        return sum(tag == "tr" for tag, _ in self.tags)


@pytest.fixture
def landmarks() -> LandmarkErrors:
    rng = np.random.default_rng(1)
    fixed = rng.uniform(-50, 50, (20, 3))
    moving = fixed + (3.0, 4.0, 12.0)
    mapped = moving + (0.0, 0.0, 2.0)
    counted = np.arange(20) != 3
    index = np.diag([1.0, 1.0, 2.5, 1.0])
    statistics = paired_errors(*(p[counted] for p in (fixed, mapped, moving)), index)
    return LandmarkErrors(
        labels=[NASTY, *(f"L{k}" for k in range(1, 20))],
        before=np.full(20, 13.0),
        after=np.full(20, 2.0),
        snapped=np.full(20, np.nan),
        residual=mapped - moving,
        counted=counted,
        statistics=statistics,
    )


def image_identity(side: str) -> ImageIdentity:
    names = {"patient": NASTY} if side == "fixed" else {}
    return ImageIdentity(Grid((3, 4, 5), (1.0, 2.0, 3.0)), side, names=names)


@pytest.fixture
def content(landmarks) -> ReportContent:
    jacobian = {"min": 0.5, "max": 1.75, "mean": 1.0, "percent_nonpositive": 0.0, "std_log": 0.1}
    quality = {
        "jacobian": {**jacobian, "in_mask": {**jacobian, "percent_nonpositive": 0.0125}},
        "similarity": {
            "before": {"ncc": 0.5, "local_ncc": 0.25},
            "after": {"ncc": 0.75, "local_ncc": None},
        },
        "overlap": {
            NASTY: {"before": None, "after": {"dice": 0.875, "hausdorff95": 3.5}},
        },
        "inverse_consistency": {"mean": 0.1, "p95": 0.2, "max": 0.3, "n": 17},
        "segments": {"lobe": {"jacobian": jacobian}},
    }
    return ReportContent(
        images={side: image_identity(side) for side in ("fixed", "moving")},
        transform=TransformIdentity("affine", "cd" * 32, names={"file": NASTY}),
        verdict=Verdict("problem", NASTY, (Finding("problem", NASTY, NASTY),)),
        landmarks=landmarks,
        quality=quality,
        provenance={"method": "regnet", "parameters": {"grid_mm": 8.0, "mask": NASTY}},
        weights={"name": "regnet-1", "sha256": "ab" * 32},
        seconds={"method": 1.5},
        versions={"torch": "2.13.0"},
        notes=[NASTY],
        pictures=[Picture("Before", PNG, NASTY)],
    )


def test_the_page_is_well_formed_and_runs_nothing(content):
    page = Page(html_page(content))
    assert not {tag for tag, _ in page.tags} & {"script", "iframe", "object", "link", "form"}
    assert not any(name.startswith("on") for _, attributes in page.tags for name in attributes)


def test_the_page_needs_nothing_from_elsewhere(content):
    text = html_page(content)
    for _, attributes in Page(text).tags:
        for name in ("src", "href"):
            assert attributes.get(name, "data:").startswith("data:")
    assert "url(" not in text
    assert "@import" not in text
    policies = [a["content"] for t, a in Page(text).tags if a.get("http-equiv")]
    assert policies == ["default-src 'none'; img-src data:; style-src 'unsafe-inline'"]


def test_every_name_is_escaped_and_reads_as_it_was_given(content):
    page = Page(html_page(content))
    # patient, file; headline, finding, its basis; parameter; note; caption; landmark; the label of
    # overlap in its table and in the checklist
    assert page.text.count(NASTY) == 11


def test_pictures_are_inside_the_page(content):
    sources = [a["src"] for t, a in Page(html_page(content)).tags if t == "img"]
    assert [base64.b64decode(s.removeprefix("data:image/png;base64,")) for s in sources] == [PNG]


def test_the_numbers_are_those_of_the_landmarks_and_the_jacobian(content):
    text = Page(html_page(content)).text
    assert "2.00 mm" in text
    assert "mean error at 19 landmarks; 13.00 mm before" in text
    for number in ("0.0125", "1.75", "0.88", "3.50", "0.100", "ab" * 32, "2.13.0", "1.50"):
        assert number in text


def test_the_error_estimate_is_given_with_what_it_is_worth(content):
    assert "Error estimate" not in html_page(content)
    part = {"median": 0.5, "p95": 1.25, "max": 9.75}
    doubt = {**part, "consistency": {**part, "max": 19.5}, "spread": None, "n": 77}
    content.quality["uncertainty"] = {**doubt, "region": "mask"}
    text = Page(html_page(content)).text
    assert "In mm, 77 voxels of the mask" in text
    assert "combined0.501.259.75inverse consistency0.501.2519.50" in text  # cells, joined
    assert "spread" not in text.split("Error estimate")[1].split("Inverse consistency:")[0]
    assert "They are not error bars" in text


def test_each_landmark_has_a_row_and_excluded_ones_are_struck_out(content):
    page = Page(html_page(content))
    struck = [a for t, a in page.tags if t == "tr" and a.get("class") == "out"]
    assert len(struck) == 1
    without = Page(html_page(replace(content, landmarks=None)))
    # 20 landmarks and their head; 5 statistics, 3 components and their head
    assert page.rows() - without.rows() == 30
    assert [c for t, c in page.tags if t == "tr"].count({"class": "out"}) == 1


def test_what_is_unknown_is_a_dash_and_never_nan(content):
    text = Page(html_page(content)).text
    assert "–" in text
    assert not re.search(r"\bnan\b|\bNone\b", text)


def test_before_registration_the_page_shows_the_distance(landmarks):
    statistics = {**landmarks.statistics, "after": None, "snapped": None}
    nan = np.full(20, np.nan)
    before = replace(landmarks, statistics=statistics, after=nan, residual=np.full((20, 3), np.nan))
    text = Page(html_page(ReportContent(landmarks=before))).text
    assert "13.00 mm" in text
    assert "mean error before registration, 19 landmarks" in text


def test_an_empty_report_says_why_there_are_no_pictures():
    text = Page(html_page(ReportContent(no_pictures="No OpenGL here."))).text
    assert "No OpenGL here." in text
    assert "Landmarks" not in text


def test_a_page_that_cannot_be_written_leaves_the_earlier_one(content, tmp_path):
    path = tmp_path / "report.html"
    write_html(content, path)
    earlier = path.read_text(encoding="utf-8")
    assert earlier == html_page(content)
    with pytest.raises(RegistrationError, match="is a folder"):
        write_html(content, tmp_path)
    assert [p.name for p in tmp_path.iterdir()] == ["report.html"]


def shapes(svg: str, kind: str) -> list[dict]:
    root = ElementTree.fromstring(svg)
    return [e.attrib for e in root.iter() if e.tag.endswith(f"}}{kind}")]


def test_the_bars_are_as_high_as_the_counts():
    errors = {"before": np.array([0.5, 1.5, 1.6, 7.0]), "after": np.array([0.2, 0.3, 0.4, 1.2])}
    edges = error_bins(errors)
    bars = shapes(histogram_svg(errors), "rect")
    for when, values in errors.items():
        starts, ends = edges[:-1, None], edges[1:, None]
        counts = ((values >= starts) & (values < ends)).sum(axis=1)
        heights = np.array([float(b["height"]) for b in bars if b["class"] == when])
        assert np.allclose(heights / heights.max(), counts / counts.max(), atol=0.01)


@pytest.mark.parametrize("top", [0.0, 0.03, 0.9, 3.0, 12.0, 47.3, 260.0])
@pytest.mark.parametrize("count", [1, 3, 40, 1000])
def test_every_error_falls_into_a_bin_of_a_round_width(top, count):
    values = np.linspace(0, top, count)
    edges = error_bins({"after": values})
    assert np.histogram(values, edges)[0].sum() == count
    assert len(edges) <= 22
    assert count == 1 or top < 0.1 or len(edges) >= 6
    digit = edges[1] / 10 ** np.floor(np.log10(edges[1]) + 1e-9)
    assert any(digit == pytest.approx(whole) for whole in (1, 2, 5))
    assert shapes(histogram_svg({"after": values}), "rect")


def test_one_error_far_from_the_rest_does_not_squeeze_them_into_one_bar():
    values = np.append(np.random.default_rng(2).uniform(0, 2, 50), 35.0)
    edges = error_bins({"after": values})
    counts = np.histogram(values, edges)[0]
    assert counts[-1] == 1  # in a bin of its own, whose title says so
    assert (counts[:-1] > 0).sum() >= 6
    assert f"&gt; {edges[-2]:g}" in histogram_svg({"after": values})
    assert "&gt;" not in histogram_svg({"after": values[:-1]})


@pytest.mark.parametrize("count", [1, 2, 30])
def test_the_curve_rises_by_one_share_at_each_error(count):
    values = np.random.default_rng(3).uniform(0.5, 4, count)
    (curve,) = (
        p for p in shapes(cumulative_svg({"after": values}), "path") if "curve" in p["class"]
    )
    heights = [float(v) for v in re.findall(r"V([\d.]+)", curve["d"])]
    start = float(re.match(r"M[\d.]+ ([\d.]+)", curve["d"])[1])
    assert np.allclose(
        (start - np.array(heights)) / (start - heights[-1]),
        np.arange(1, count + 1) / count,
        atol=0.01,
    )
    places = np.array([float(v) for v in re.findall(r"H([\d.]+)", curve["d"])])[:count]
    wanted = np.sort(values)
    assert np.allclose((places - 48) / (places[-1] - 48), wanted / wanted[-1], atol=0.01)


def test_the_box_is_at_the_quartiles_and_each_landmark_is_a_dot():
    values = np.array([1.0, 2.0, 3.0, 4.0, 10.0])
    svg = boxes_svg({"before": values})
    dots = sorted(float(dot["cy"]) for dot in shapes(svg, "circle"))
    assert len(dots) == 5
    (box,) = shapes(svg, "rect")
    top = float(box["y"])
    assert top == pytest.approx(dots[1], abs=0.11)  # the upper quartile is 4
    assert top + float(box["height"]) == pytest.approx(dots[3], abs=0.11)  # the lower is 2


def test_the_report_and_the_landmark_arithmetic_do_not_load_torch():
    code = (
        "import sys; import DeepRegistrationLib.reports.html_report; "
        "import DeepRegistrationLib.evaluation.landmarks; print('torch' in sys.modules)"
    )
    run = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert run.stdout.strip() == "False"


def test_landmarks_that_drove_the_deformation_are_marked_in_their_rows(content):
    plain = html_page(content)
    assert '<th scope="col">drove</th>' not in plain
    drove = np.arange(20) == 3  # which is not counted
    errors = np.where(drove, 1.25, np.nan)
    page = html_page(
        replace(content, landmarks=replace(content.landmarks, drove=drove, left_out=errors))
    )
    rows = page[page.index("Landmarks one by one") :].split("<tr")
    (marked,) = (row for row in rows if "<td>yes</td>" in row)
    assert "<td>L3</td>" in marked and 'class="out"' in marked and "<td>1.25</td>" in marked


def test_a_comparison_counts_no_landmark_that_drove_either(content, landmarks):
    counted = landmarks.counted & (np.arange(20) != 7)
    residual = landmarks.residual.copy()
    residual[7] = (0.0, 0.0, 90.0)  # what drove A is far off under B
    driven = replace(landmarks, counted=counted, drove=np.arange(20) == 7)
    other = replace(landmarks, residual=residual, after=np.linalg.norm(residual, axis=1))
    overlap = {"heart": {"after": {"dice": 0.99, "mean_surface_distance": 0.1}}}
    marked = {"heart": {**overlap["heart"], "drove": True}}
    quality = {"similarity": None}
    first = replace(content, landmarks=driven, quality={**quality, "overlap": marked})
    second = replace(content, landmarks=other, quality={**quality, "overlap": overlap})
    for pair in ((first, second), (second, first)):
        text = Page(comparison_page(*pair)).text
        assert "landmarks18.0018.000.00" in text  # cells, joined
        assert "landmark error, max, mm2.002.000.00" in text
        assert "Dice, heart (drove it: no proof)" in text
