"""What folds in the host keeps in mind what was shown and hidden meanwhile, as CTK's does."""

from __future__ import annotations

from pathlib import Path

import pytest

MODULE = Path(__file__).resolve().parents[2] / "DeepRegistration" / "DeepRegistration.py"


@pytest.fixture(params=["ctkCollapsibleButton", "ctkCollapsibleGroupBox"])
def folding(request, qt, ctk):
    """A widget that folds, with two labels in it."""
    widget = getattr(ctk, request.param)()
    layout = qt.QVBoxLayout(widget)
    labels = qt.QLabel("one"), qt.QLabel("other")
    for label in labels:
        layout.addWidget(label)
    return widget, *labels


@pytest.mark.parametrize("seen_before", [True, False])
def test_what_is_hidden_while_it_is_folded_stays_hidden(folding, seen_before):
    widget, one, other = folding
    if seen_before:
        widget.show()
    widget.collapsed = True
    one.visible = False
    widget.show()
    widget.collapsed = False
    assert (one.visible, other.visible) == (False, True)


@pytest.mark.parametrize("seen_before", [True, False])
def test_what_is_shown_while_it_is_folded_is_seen_only_afterwards(folding, seen_before):
    widget, one, other = folding
    one.hide()
    if seen_before:
        widget.show()
    widget.collapsed = True
    one.visible = True
    widget.show()
    assert (one.visible, other.visible) == (False, False)
    widget.collapsed = False
    assert (one.visible, other.visible) == (True, True)


def test_hiding_and_showing_the_whole_changes_nothing_of_that(folding):
    widget, one, other = folding
    one.hide()
    for _ in range(2):
        widget.show()
        widget.hide()
    widget.show()
    assert (one.visible, other.visible) == (False, True)


def test_no_progress_bar_is_seen_in_a_section_that_is_unfolded(slicer_host):
    panel = slicer_host.load_module(MODULE).panel
    bars = {"Report": "reportBar", "Quality": "measureBar", "Sequences": "progressBar"}
    for section in panel.sections:
        if section.uiName in bars:
            getattr(section.ui, f"{section.uiName.lower()}Button").collapsed = False
            assert not getattr(section.ui, bars[section.uiName]).visible, section.uiName
