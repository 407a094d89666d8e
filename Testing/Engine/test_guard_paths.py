"""Paths, texts and JSON that could do harm are refused in a sentence; leftover folders go."""

from __future__ import annotations

import os
import socket
import sys
import time

import pytest

from DeepRegistrationLib.errors import RegistrationError, printable
from DeepRegistrationLib.images.guard.locks import hold, release, sweep
from DeepRegistrationLib.images.guard.paths import require_readable
from DeepRegistrationLib.images.guard.text import parse_json, read_text

# Paths, text, JSON ----------------------------------------------------------------------------


def make_pipe(path):
    os.mkfifo(path)


def make_socket(path):
    here = os.getcwd()
    os.chdir(path.parent)  # a socket's path is at most 107 characters long
    with socket.socket(socket.AF_UNIX) as server:
        server.bind(path.name)
    os.chdir(here)


@pytest.mark.skipif(sys.platform == "win32", reason="POSIX")
@pytest.mark.parametrize(
    ("name", "make", "says"),
    [
        ("pipe", make_pipe, "not a regular file"),
        ("socket", make_socket, "not a regular file"),
        ("loop", lambda p: p.symlink_to(p.name), "leads to itself"),
        ("n" * 300, lambda p: None, "too long a name"),
        ("a\0b", lambda p: None, "not a valid path"),
        ("gone", lambda p: None, "does not exist"),
        ("folder", lambda p: p.mkdir(), "is a folder"),
        ("\udcff", lambda p: None, "not UTF-8"),
    ],
)
def test_a_path_that_cannot_be_read_is_refused_in_a_sentence(name, make, says, tmp_path):
    make(tmp_path / name)
    with pytest.raises(RegistrationError, match=says) as caught:
        require_readable(tmp_path / name)
    assert str(caught.value).isprintable()


def test_control_characters_are_never_shown_raw():
    assert printable("a\x1b]0;x\x07\u202eb\udc80") == r"a\x1b]0;x\x07\u202eb\udc80"
    assert printable("Über µ 肺\n") == "Über µ 肺\n"


@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "utf-16", "latin-1"])
def test_text_is_read_in_the_encodings_of_spreadsheets(encoding, tmp_path):
    (tmp_path / "a.csv").write_bytes("Läsion,1,2,3".encode(encoding))
    assert read_text(tmp_path / "a.csv") == "Läsion,1,2,3"


@pytest.mark.parametrize("content", [b"\0\1\2", b"\xff\xfea"])
def test_binary_content_is_no_text(content, tmp_path):
    (tmp_path / "a.csv").write_bytes(content)
    with pytest.raises(RegistrationError, match="text"):
        read_text(tmp_path / "a.csv")


def test_too_long_a_text_is_refused(tmp_path):
    (tmp_path / "a.csv").write_bytes(b"1,2,3\n" * 1000)
    with pytest.raises(RegistrationError, match="too large"):
        read_text(tmp_path / "a.csv", limit=100)


@pytest.mark.parametrize(
    "text", ["[" * 100_000, "[" * 900 + "]" * 900, '{"a":' * 50_000, "9" * 9999]
)
def test_json_without_bounds_is_an_error_of_value(text):
    with pytest.raises(ValueError):
        parse_json(text)


# Leftovers ------------------------------------------------------------------------------------


@pytest.mark.skipif(sys.platform == "win32", reason="folders are locked on POSIX")
def test_a_folder_that_nobody_holds_is_swept_and_one_that_is_held_stays(tmp_path):
    for name in ("held", "left"):
        (tmp_path / name).mkdir()
        os.utime(tmp_path / name, (time.time() - 60,) * 2)
    lock = hold(tmp_path / "held")
    sweep(tmp_path.iterdir())
    assert [path.name for path in tmp_path.iterdir()] == ["held"]
    release(lock)
    sweep(tmp_path.iterdir())
    assert not list(tmp_path.iterdir())


def test_a_young_folder_is_left_alone(tmp_path):
    (tmp_path / "new").mkdir()
    os.utime(tmp_path / "new", (time.time() + 60,) * 2)
    sweep(tmp_path.iterdir())
    assert (tmp_path / "new").exists()
