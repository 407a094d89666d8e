"""Landmark tables as spreadsheets and programs write them: read rightly, or refused."""

from __future__ import annotations

import json

import numpy as np
import pytest

from DeepRegistrationLib.errors import RegistrationError
from DeepRegistrationLib.files.landmark_files import read_landmark_list

POINTS = np.array([[10.5, -20.25, 30.0], [11.5, -21.25, 31.125], [-12.5, 22.0, 32.5]])
RAS = POINTS * (-1, -1, 1)


def written(points=POINTS, separator=",", decimal=".", before=None, after=None):
    """Rows of numbers, with further cells around them."""
    rows = []
    for k, point in enumerate(points):
        cells = [str(v).replace(".", decimal) for v in point]
        rows.append(
            separator.join([*(before(k) if before else []), *cells, *(after(k) if after else [])])
        )
    return "\n".join(rows) + "\n"


def numbered(k):
    return [str(k)]


def named(k):
    return [f"F-{k}"]


def quoted(k):
    return [f'"point {k}, left; ""upper"""']


RIGHT = {
    "plain": written(),
    "label before": written(before=named),
    "label after": written(after=named),
    "quoted labels with separators": "label,x,y,z\n" + written(before=quoted),
    "quoted labels, semicolons": "label;x;y;z\n" + written(separator=";", before=quoted),
    "Excel in German": "Label;x;y;z\r\n" + written(separator=";", decimal=",", before=named),
    "Excel with its separator stated": "sep=;\nx;y;z\n" + written(separator=";", decimal=","),
    "decimal commas and tabs": written(separator="\t", decimal=","),
    "every cell quoted": "x,y,z\n" + "".join(f'"{x}","{y}","{z}"\n' for x, y, z in POINTS),
    "pandas with an index": ",x,y,z\n" + written(before=numbered),
    "pandas without an index": "x,y,z\n" + written(),
    "an id named so": "id,x,y,z\n" + written(before=numbered),
    "columns in another order": "z,y,x\n" + written(POINTS[:, ::-1]),
    "RAS": "label,R,A,S\n" + written(RAS, before=named),
    "units and comments": "# made by hand\nX [mm];Y [mm];Z [mm]\n" + written(separator=";"),
    "trailing separators": written(after=lambda k: [""]).replace(",\n", "\n"),
    "Slicer's export": "label,l,p,s,defined,selected,visible,locked,description\n"
    + written(before=named, after=lambda k: ["1", "1", "1", "0", '"seen, twice"']),
    "exponents": "x,y,z\n1.05e1,-2.025E+1,30\n11.5,-21.25,31.125\n-12.5,22.,32.5\n",
}


@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "utf-16", "latin-1"])
@pytest.mark.parametrize("case", RIGHT)
def test_a_table_is_read_as_it_is_meant(case, encoding, tmp_path):
    path = tmp_path / "points.csv"
    path.write_bytes(RIGHT[case].encode(encoding))
    np.testing.assert_allclose(read_landmark_list(path).points, POINTS)


REFUSED = {
    "numbers before without header": (written(before=numbered), "no header"),
    "numbers after without header": (written(after=numbered), "no header"),
    "decimal commas between commas": (written(decimal=","), "decimal"),
    "decimal commas and blanks": (written(separator="  ", decimal=","), "decimal"),
    "decimal commas below a header": ("x,y,z\n" + written(decimal=","), "decimal commas"),
    "commas and points": ("x;y;z\n1,5;2.5;3\n", "decimal comma and.*decimal point"),
    "thousands": ("x;y;z\n1.000,5;2;3\n", "line 2"),
    "numbers for names": ("0,1,2\n" + written(), "column numbers"),
    "pandas' numbers for names": (",0,1,2\n" + written(before=numbered), "column numbers"),
    "never placed": ("label,l,p,s,defined\nA,1,2,3,1\nB,0,0,0,0\n", "point 2 has no position"),
    "never placed, by a spreadsheet": ("l,p,s,defined\n0,0,0,0.0\n", "point 1 has no position"),
    "other units": ("x (cm),y (cm),z (cm)\n" + written(), "names no columns"),
    "two systems": ("x,y,z,r,a,s\n1,2,3,-1,-2,3\n", "more than once"),
    "a name twice": ("x,x,y,z\n1,2,3,4\n", "names no columns"),
    "a short row": (written() + "1,2\n", "line 4"),
    "an underscore": ("1_000,2,3\n", "line 1"),
    "hexadecimal": ("x,y,z\n0x10,2,3\n", "line 2"),
    "other digits": ("x,y,z\n١,2,3\n", "line 2"),
    "infinity": ("x,y,z\n1,inf,3\n", "finite"),
    "an open quote": ('label,x,y,z\n"A,1,2,3\n', "line"),
    "an endless cell": ("label,x,y,z\n" + "A" * 200_000 + ",1,2,3\n", "line 2"),
}


@pytest.mark.parametrize("case", REFUSED)
def test_what_is_not_certain_is_refused(case, tmp_path):
    text, says = REFUSED[case]
    (tmp_path / "points.csv").write_text(text, encoding="utf-8")
    with pytest.raises(RegistrationError, match=says) as caught:
        read_landmark_list(tmp_path / "points.csv")
    assert len(str(caught.value)) < 400


def test_labels_and_selection_come_along(tmp_path):
    text = "label,l,p,s,defined,selected\n" + '"A, left",1,2,3,1,1\nB,4,5,6,1,0\n'
    (tmp_path / "points.csv").write_text(text)
    found = read_landmark_list(tmp_path / "points.csv")
    assert found.labels == ("A, left", "B")
    assert found.selected.tolist() == [True, False]


FCSV = "# Markups fiducial file version = 5.6\n# CoordinateSystem = LPS\n"


def test_a_label_with_a_comma_in_an_fcsv_is_one_cell(tmp_path):
    row = '1,10,20,30,0,0,0,1,1,0,0,"A, ""left""","seen, twice",,2,0\n'
    (tmp_path / "F.fcsv").write_text(FCSV + row)
    found = read_landmark_list(tmp_path / "F.fcsv")
    assert (found.labels, found.selected.tolist()) == (('A, "left"',), [False])
    np.testing.assert_array_equal(found.points, [[10, 20, 30]])


@pytest.mark.parametrize("status", [0, 3])
def test_an_fcsv_point_that_was_never_placed_is_refused(status, tmp_path):
    (tmp_path / "F.fcsv").write_text(f"{FCSV}1,0,0,0,0,0,0,1,1,1,0,A,,,{status},0\n")
    with pytest.raises(RegistrationError, match="no position"):
        read_landmark_list(tmp_path / "F.fcsv")


@pytest.mark.parametrize(
    "content",
    [
        '{"markups":' * 50_000 + "1" + "}" * 50_000,
        "[]",
        "{}",
        '{"markups": {}}',
        '{"markups": [3]}',
        '{"markups": [{"controlPoints": [{"position": [1, 2]}]}]}',
        '{"markups": [{"controlPoints": [{"position": "123"}]}]}',
        '{"markups": [{"controlPoints": [{"position": [1, 2, null]}]}]}',
        '{"markups": [{"controlPoints": {"position": [1, 2, 3]}}]}',
        '{"markups": [{"coordinateUnits": ["mm"], "controlPoints": []}]}',
        json.dumps({"markups": [{"controlPoints": [{"position": [1e400, 0, 0]}]}]}),
        "9" * 10_000,
        "nul\0",
    ],
)
def test_a_damaged_markups_file_is_refused(content, tmp_path):
    (tmp_path / "F.mrk.json").write_text(content)
    with pytest.raises(RegistrationError):
        read_landmark_list(tmp_path / "F.mrk.json")
