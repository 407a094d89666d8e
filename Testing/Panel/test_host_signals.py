"""Signals in the host are connected, called and refused as PythonQt does it."""

from __future__ import annotations

import pytest
from PySide6 import QtCore, QtTest
from SlicerHost.signals import SignalError


@pytest.fixture
def button(qt):
    return qt.QPushButton("Register")


def test_a_signal_is_connected_by_its_signature(button):
    got = []
    assert button.connect("clicked(bool)", got.append)
    QtTest.QTest.mouseClick(button._qt, QtCore.Qt.MouseButton.LeftButton)
    assert got == [False]


@pytest.mark.parametrize("signature", ["clicked(int)", "clicked", "klicked()", "textChanged()"])
def test_a_signature_that_the_class_lacks_is_refused(button, signature):
    with pytest.raises(SignalError, match="does not exist"):
        button.connect(signature, print)
    with pytest.raises(SignalError):
        button.disconnect(signature, print)


def test_a_slot_gets_as_many_arguments_as_it_takes(button):
    got = []
    button.connect("clicked(bool)", lambda: got.append("none"))
    button.connect("clicked(bool)", lambda on: got.append(("one", on)))
    button.connect("clicked()", lambda on="default": got.append(on))
    button.click()
    assert got == ["none", ("one", False), "default"]


def test_a_default_of_a_lambda_is_overwritten_by_the_signals_argument(button):
    got = []
    button.connect("clicked(bool)", lambda name="fixed": got.append(name))
    button.click()
    assert got == [False]


def test_disconnect_takes_out_only_that_receiver(button):
    class Receiver:
        count = 0

        def called(self, *_):
            self.count += 1

    first, second = Receiver(), Receiver()
    for receiver in (first, second):
        button.clicked.connect(receiver.called)
    assert button.disconnect("clicked(bool)", first.called)
    assert not button.disconnect("clicked(bool)", first.called)
    button.click()
    assert (first.count, second.count) == (0, 1)


def test_an_error_in_a_slot_is_kept_for_the_test(button, slot_errors, capsys):
    button.clicked.connect(lambda: 1 / 0)
    button.click()
    assert isinstance(slot_errors.pop(), ZeroDivisionError)
    assert "ZeroDivisionError" in capsys.readouterr().err


def test_overloads_that_qt_6_renamed_work_under_their_old_names(qt):
    box, got = qt.QComboBox(), []
    box.addItems(["one", "two"])
    box.connect("currentIndexChanged(QString)", got.append)
    box.connect("currentIndexChanged(int)", got.append)
    box.currentIndex = 1
    assert sorted(got, key=str) == [1, "two"]


def test_calling_a_signal_emits_it(button):
    got = []
    button.toggled.connect(got.append)
    button.toggled(True)
    assert got == [True]
