"""A folder of odd names, links, pipes and devices: what must be listed in it, and what becomes of each."""

from __future__ import annotations

import contextlib
import ctypes
import os
import socket
import sys
from collections.abc import Iterator
from pathlib import Path

from pixelbrain.sources.local import path_to_uri

__all__ = ["ODD_NAMES", "as_nobody", "make_tree"]

#: Names of good images.
ODD_NAMES: tuple[bytes, ...] = (
    b"a b  c.jpg", b" leading.jpg", b"-rf.jpg", b"quote'\".jpg", b"new\nline.jpg", b"tab\t.jpg", b"back\\slash.jpg",
    b"100%20.jpg", b"q?a#b&c=d+e.jpg", b"$HOME`ls`;ls.jpg", b"UPPER.JPEG", b"{glob*}[a].jpg",
    "🐈‍⬛.jpg".encode(), "ü.jpg".encode(), "u\u0308.jpg".encode(), "\u202egpj.exe.jpg".encode(), b"\xff\xfe\x80.jpg",
    b"caf\xe9.jpg", b"x" * 251 + b".jpg", b"\x01\x1b[31m.jpg", b"s3://bucket.jpg".replace(b"/", b":"),
)  # fmt: skip


def make_tree(folder: Path, image: bytes) -> dict[str, str | None]:
    """Fill a folder.

    Args:
        image: what a good file holds.

    Returns:
        image_id to the expected error_type (None: it is read) of all that must be listed, and of nothing else.
    """
    root = os.fsencode(folder)
    expected: dict[bytes, str | None] = {}

    def write(name: bytes, data: bytes = image) -> bytes:
        path = os.path.join(root, name)
        with open(path, "wb") as file:
            file.write(data)
        return path

    for name in ODD_NAMES:
        expected[write(name)] = None
    (folder / "folder.jpg").mkdir()
    expected[write(b"folder.jpg/inside.jpg")] = None
    # links: a file's own ones are images too; loops and links to nowhere are rows that say so
    for name, target, error in [
        (b"link.jpg", b"ODD.jpg", None), (b"nowhere.jpg", b"absent.jpg", "ReadError"),
        (b"self.jpg", b"self.jpg", "ReadError"), (b"a.jpg", b"b.jpg", "ReadError"), (b"b.jpg", b"a.jpg", "ReadError"),
    ]:  # fmt: skip
        os.symlink(target, os.path.join(root, name))
        expected[os.path.join(root, name)] = error
    expected[write(b"ODD.jpg")] = None
    # larger than any image: no byte of its 2 GiB is on the disk, nor is one read
    with open(write(b"huge.jpg"), "r+b") as file:
        file.truncate(2**31)
    expected[os.path.join(root, b"huge.jpg")] = "ReadError"
    unreadable = write(b"unreadable.jpg")
    os.chmod(unreadable, 0)
    expected[unreadable] = None if os.access(unreadable, os.R_OK) else "ReadError"  # root may read all; see as_nobody

    # none of these is listed, and none is opened or entered
    write(b"notes.txt", b"not an image")
    for name in (b"..jpg", b".hidden.jpg", b"._a b  c.jpg"):
        write(name)
    (folder / ".Trash-1000").mkdir()
    write(b".Trash-1000/inside.jpg")
    os.symlink(root, os.path.join(root, b"loop"))
    os.symlink(b"..", os.path.join(root, b"parent.jpg"))
    os.symlink(b"/dev/zero", os.path.join(root, b"device.jpg"))
    os.mkfifo(os.path.join(root, b"pipe.jpg"))
    os.symlink(b"pipe.jpg", os.path.join(root, b"link-to-pipe.jpg"))
    _make_socket(folder, "socket.jpg")
    return {path_to_uri(os.fsdecode(path)): error for path, error in expected.items()}


def _make_socket(folder: Path, name: str) -> None:
    here = os.getcwd()
    os.chdir(folder)  # the path of a socket may have 107 bytes
    try:
        with socket.socket(socket.AF_UNIX) as listening:
            listening.bind(name)
    finally:
        os.chdir(here)


@contextlib.contextmanager
def as_nobody() -> Iterator[None]:
    """This thread's file accesses are checked as those of a user without rights, where it runs as root.

    Linux has a user id for that alone, one a thread (setfsuid); elsewhere root is not asked to run the tests.
    """
    if os.geteuid() != 0:
        yield
        return
    assert sys.platform == "linux", "run the tests as a user, not as root"
    libc = ctypes.CDLL(None, use_errno=True)
    libc.setfsuid(65534)
    try:
        yield
    finally:
        libc.setfsuid(0)
