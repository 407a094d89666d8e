"""Landmark errors as charts: what the tables hold, and that nodes are used again."""

from __future__ import annotations

import numpy as np
import pytest
from vtk.util.numpy_support import vtk_to_numpy

from DeepRegistrationLib.scene.landmarks.live import LiveLandmarks
from DeepRegistrationLib.scene.landmarks.pairs import point_list_from
from DeepRegistrationLib.scene.landmarks.plots import LandmarkPlots
from DeepRegistrationLib.scene.nodes.transforms import transform_node_from
from DeepRegistrationLib.transforms import Affine

KINDS = ("histogram", "cumulative", "box")
LENGTHS = np.arange(1.0, 21.0)  # mm, of the errors before


@pytest.fixture
def state(scene):
    """20 landmarks with errors of 1 to 20 mm before and of 0 to 19 mm after."""
    points = np.random.default_rng(0).uniform(-50, 50, (20, 3))
    fixed = point_list_from(points, scene, "F", (0, 1, 0))
    moving = point_list_from(points + LENGTHS[:, None] * (0, 0, 1), scene, "M", (1, 0, 1))
    live = LiveLandmarks()
    live.observe(fixed, moving, transform_node_from(Affine(translation=(0, 0, 1)), scene, "T"))
    yield live.state
    live.close()


def columns(chart) -> dict[str, tuple[np.ndarray, np.ndarray]]:
    """x and y of each series by its name, as the plot view reads them."""
    result = {}
    for k in range(chart.GetNumberOfPlotSeriesNodes()):
        series = chart.GetNthPlotSeriesNode(k)
        table = series.GetTableNode().GetTable()
        result[series.GetName()] = tuple(
            vtk_to_numpy(table.GetColumnByName(name))
            for name in (series.GetXColumnName(), series.GetYColumnName())
        )
    return result


def test_the_histogram_counts_every_landmark_once(scene, state):
    plots = LandmarkPlots(scene)
    plots.update(state)
    for name, errors in (("before", LENGTHS), ("after", LENGTHS - 1)):
        x, y = columns(plots.chart("histogram"))[name]
        assert y.sum() == 20
        width = x[1] - x[0]
        for center, count in zip(x, y, strict=True):
            low, high = center - width / 2, center + width / 2
            # the last bin of numpy's histogram is closed, and so is a value on the last edge
            assert count == ((errors >= low - 1e-6) & (errors < high - 1e-6)).sum()


def test_the_cumulative_curve_gives_the_share_within_an_error(scene, state):
    plots = LandmarkPlots(scene)
    plots.update(state)
    x, y = columns(plots.chart("cumulative"))["before"]
    assert np.interp(10.0, x, y) == pytest.approx(50)
    assert (x[-1], y[-1]) == (pytest.approx(20), 100)


def test_the_box_is_at_the_quartiles(scene, state):
    plots = LandmarkPlots(scene)
    plots.update(state)
    x, y = columns(plots.chart("box"))["before"]
    at_box = y[np.isclose(x, x.min())]  # the box's left side
    expected = [np.quantile(LENGTHS, q) for q in (0.25, 0.5, 0.75)]
    assert np.allclose(np.unique(at_box.round(6)), expected)
    assert np.nanmax(y) == pytest.approx(20)  # the outlier


def test_updating_uses_the_same_nodes_and_removing_leaves_none(scene, state):
    before = scene.GetNumberOfNodes()
    plots = LandmarkPlots(scene)
    plots.update(state)
    charts = [plots.chart(kind) for kind in KINDS]
    count = scene.GetNumberOfNodes()
    again = LandmarkPlots(scene)  # as after loading the scene
    again.update(state)
    assert [again.chart(kind) for kind in KINDS] == charts
    assert scene.GetNumberOfNodes() == count
    again.remove()
    assert scene.GetNumberOfNodes() == before


def test_without_a_transform_there_is_one_series(scene, state):
    live = LiveLandmarks()
    nodes = [scene.GetFirstNodeByName(name) for name in "FM"]
    live.observe(*nodes)
    plots = LandmarkPlots(scene)
    plots.update(state)
    plots.update(live.state)
    assert list(columns(plots.chart("histogram"))) == ["before"]
    live.close()


def test_no_landmarks_leave_the_charts_empty(scene, state):
    live = LiveLandmarks()
    live.observe(None, None)
    plots = LandmarkPlots(scene)
    plots.update(live.state)
    assert all(plots.chart(kind).GetNumberOfPlotSeriesNodes() == 0 for kind in KINDS)
