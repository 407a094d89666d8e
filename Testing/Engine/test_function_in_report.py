"""Ventilation and strain in the page of a registration, from the command line."""

from __future__ import annotations

import base64
import re

import numpy as np
import pytest
import SimpleITK as sitk
import torch
from pages_made import evaluate, text_of

from DeepRegistrationLib import Image, write_image, write_transform
from DeepRegistrationLib.cli import main
from DeepRegistrationLib.data.phantoms import cine, thorax
from DeepRegistrationLib.reports.content import FunctionPart, ReportContent
from DeepRegistrationLib.reports.html_comparison import comparison_page
from DeepRegistrationLib.transforms import Affine, DisplacementField


def written(folder, fixed, moving, transform):
    """The two images and the transform on the grid of the fixed one, as files."""
    grid = fixed.grid
    shifts = (transform(grid.points()) - grid.points()).movedim(-1, 0).contiguous()
    write_image(fixed, folder / "fixed.nii.gz")
    write_image(moving, folder / "moving.nii.gz")
    write_transform(DisplacementField(shifts.float(), grid), folder / "T.h5")
    return (folder / "fixed.nii.gz", folder / "moving.nii.gz"), folder / "T.h5"


def pictures_of(page: str, section: str) -> list[bytes]:
    """The PNG files in a section of a page."""
    body = page.split(f"<h2>{section}</h2>")[1].split("</section>")[0]
    return [base64.b64decode(code) for code in re.findall(r"base64,([^\"]+)", body)]


def test_ventilation_is_a_section_of_the_page_where_it_is_asked_for(tmp_path, capsys):
    chest = thorax((40, 32, 36), (8.0, 8.0, 8.0), motion=20.0, seed=2)
    images, transform = written(tmp_path, chest.fixed, chest.moving, chest.transform)
    page = tmp_path / "page.html"
    assert evaluate(images, transform, page, "--ventilation", "--strain") == 0
    text = text_of(page)
    assert "right lung, upper third" in text and "trustworthy correspondence" in text
    lungs = chest.fixed_lungs.data != 0
    exact = 1 / float(chest.transform.jacobian(chest.fixed.grid.points())[lungs].mean()) - 1
    shown = float(re.search(r"both lungs\s*\d+\s*(\d+\.\d)", spaced(page)).group(1))
    assert abs(shown - 100 * exact) < 2
    (png,) = pictures_of(page.read_text("utf-8"), "Ventilation")
    (tmp_path / "map.png").write_bytes(png)
    assert sitk.ReadImage(str(tmp_path / "map.png")).GetSize()[0] > 100
    assert "Not measured: " in text_of(page)
    assert "Heart strain was not measured" in capsys.readouterr().err


def test_ventilation_is_measured_in_the_mask_that_the_page_is_about(tmp_path):
    chest = thorax((40, 32, 36), (8.0, 8.0, 8.0), motion=20.0, seed=2)
    images, transform = written(tmp_path, chest.fixed, chest.moving, chest.transform)
    lungs = chest.fixed_lungs.data != 0
    upper = lungs & (torch.arange(lungs.shape[0])[:, None, None] > 20)
    jacobian = chest.transform.jacobian(chest.fixed.grid.points())
    body = chest.fixed.data > -500  # without the lungs, so that these have to be found
    for mask, measured in ((upper, upper), (body, lungs)):
        write_image(Image(mask.byte(), chest.fixed.grid), tmp_path / "mask.nii.gz")
        page = tmp_path / "page.html"
        given = "--ventilation", "--fixed-mask", tmp_path / "mask.nii.gz"
        assert evaluate(images, transform, page, *given) == 0
        ml, percent = re.search(r"both lungs\s*(\d+)\s*(\d+\.\d)", spaced(page)).groups()
        exhale = float(jacobian[measured].sum()) * 8.0**3 / 1000
        assert float(ml) == pytest.approx(exhale, rel=0.05)
        change = int(measured.sum()) / float(jacobian[measured].sum()) - 1
        assert float(percent) == pytest.approx(100 * change, abs=2)


def spaced(page) -> str:
    return re.sub(r"<[^>]+>", " ", page.read_text("utf-8"))


def test_strain_is_a_section_of_the_page_where_it_is_asked_for(tmp_path):
    beat = cine(2, (80, 76, 11), (2.5, 2.5, 8.0), seed=3)
    images, transform = written(tmp_path, *beat.frames, beat.transforms[1])
    page = tmp_path / "page.html"
    assert evaluate(images, transform, page, "--strain") == 0
    text = text_of(page)
    assert "<h2>Ventilation" not in page.read_text("utf-8")
    assert "Ejection fraction" in text and "16 apical lateral" in text
    body = page.read_text("utf-8").split("<h2>Heart strain</h2>")[1].split("</section>")[0]
    assert body.count("<svg") == 2 and body.count("apical septal") == 1


def scaled(transform, grid, share):
    """Some of the motion."""
    shifts = share * (transform(grid.points()) - grid.points()).movedim(-1, 0).contiguous()
    return DisplacementField(shifts.float(), grid)


def test_a_comparison_shows_the_function_by_both_beside_each_other(tmp_path):
    chest = thorax((40, 32, 36), (8.0, 8.0, 8.0), motion=20.0, seed=2)
    images, transform = written(tmp_path, chest.fixed, chest.moving, chest.transform)
    write_transform(scaled(chest.transform, chest.fixed.grid, 0.6), tmp_path / "less.h5")
    page = tmp_path / "page.html"
    assert (
        evaluate(images, transform, page, "--ventilation", "--compare", tmp_path / "less.h5") == 0
    )
    body = page.read_text("utf-8").split("<h2>Ventilation</h2>")[1].split("</section>")[0]
    assert len(pictures_of(page.read_text("utf-8"), "Ventilation")) == 2
    captions = re.findall(r"<figcaption><b>([AB])\. </b>([^<]+)", body)
    assert [name for name, _ in captions] == ["A", "B"] and captions[0][1] == captions[1][1]
    assert body.count("The fixed image is the inhale") == 2 and body.count("<b>B.</b>") > 0
    assert body.count("<table") == 1
    numbers = re.search(r"both lungs</td>(.*?)</tr>", body).group(1)
    volume = [float(cell) for cell in re.findall(r"<td>([^<]+)</td>", numbers)][2:4]
    assert volume[1] == pytest.approx(0.6 * volume[0], rel=0.15)


def test_a_comparison_says_where_function_was_measured_of_one_only(tmp_path):
    beat = cine(2, (80, 76, 11), (2.5, 2.5, 8.0), seed=3)
    images, transform = written(tmp_path, *beat.frames, beat.transforms[1])
    write_transform(Affine(np.diag([1.1, 1.1, 1.0])), tmp_path / "wider.h5")
    page = tmp_path / "page.html"
    assert evaluate(images, transform, page, "--strain", "--compare", tmp_path / "wider.h5") == 0
    body = page.read_text("utf-8").split("<h2>Heart strain</h2>")[1].split("</section>")[0]
    assert "<b>A.</b> Ejection fraction" in body and "<b>B.</b> Not measured: " in body
    assert body.count("<svg") == 2 and "A. Strain from the fixed image" in body
    one = ReportContent(function=[FunctionPart("Heart strain", ["Weak."], ["", "x"], [["a", "1"]])])
    for pair, name in (((one, ReportContent()), "B"), ((ReportContent(), one), "A")):
        assert f"<b>{name}.</b> Not measured of this transform." in comparison_page(*pair)
    assert "Heart strain" not in comparison_page(ReportContent(), ReportContent())


def test_the_page_of_a_registration_has_it_too(tmp_path):
    chest = thorax((40, 32, 36), (8.0, 8.0, 8.0), motion=20.0, seed=2)
    images, _ = written(tmp_path, chest.fixed, chest.moving, chest.transform)
    out = tmp_path / "out"
    words = ["register", *images, "-o", out, "--method", "affine", "-q", "--report"]
    assert main([str(word) for word in (*words, "--ventilation")]) == 0
    assert "<h2>Ventilation</h2>" in (out / "report.html").read_text("utf-8")


def test_an_option_that_would_do_nothing_is_refused(tmp_path, capsys):
    image = tmp_path / "image.nii.gz"
    sitk.WriteImage(sitk.Image(8, 8, 8, sitk.sitkInt16), str(image))
    words = ["register", image, image, "-o", tmp_path / "out", "--ventilation"]
    assert main([str(word) for word in words]) == 2
    assert "--ventilation is about the page" in capsys.readouterr().err
    words = ["evaluate", image, "--fixed", image, "--report", tmp_path / "p.html", "--strain"]
    assert main([str(word) for word in words]) == 2
    assert "give --fixed and --moving" in capsys.readouterr().err
