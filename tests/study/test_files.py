"""All or nothing, whatever fails and whenever."""

from __future__ import annotations

import errno
import os
import subprocess
import sys
import textwrap

import pytest

from implant_sim import files
from sbtt_models import atomic
from sbtt_models.errors import SimError

CALLS = ("write", "rename", "fsync")


class Failing:
    """Makes the n-th call of the three system calls fail, and counts them."""

    def __init__(self, monkeypatch, n, code):
        self.left, self.calls = n, []
        for name in CALLS:
            monkeypatch.setattr(atomic, name, self._wrap(name, getattr(atomic, name), code))

    def _wrap(self, name, real, code):
        def call(*args):
            self.calls.append((name, *map(str, args[:1])))
            self.left -= 1
            if self.left == 0:
                if name == "write":  # half of it reaches the disk
                    args[0].write_bytes(args[1][: len(args[1]) // 2])
                raise OSError(code, os.strerror(code))
            return real(*args)

        return call


def visible(folder):
    """What a reader sees: names without leftovers, and contents."""
    return {
        p.relative_to(folder).as_posix(): p.read_bytes()
        for p in folder.rglob("*")
        if p.is_file() and ".tmp-" not in str(p.relative_to(folder))
    }


def save(folder):
    with files.commit_folder(folder / "key") as inside:
        files.write_bytes(inside / "arrays.h5", b"new" * 100)
        files.write_text(inside / "result.json", "new")
    files.write_text(folder / "results.csv", "new table")


@pytest.mark.parametrize("code", [errno.ENOSPC, errno.EIO, errno.EACCES])
def test_nth_call_fails_for_every_n_until_none_does(tmp_path, monkeypatch, code):
    whole_new = {"key/arrays.h5": b"new" * 100, "key/result.json": b"new"}
    seen_failures = 0
    for n in range(1, 100):
        folder = tmp_path / str(n)
        folder.mkdir()
        (folder / "results.csv").write_text("old table")
        with monkeypatch.context() as patch:
            failing = Failing(patch, n, code)
            message = ""
            try:
                save(folder)
            except files.WriteError as error:
                message = str(error)
        seen = visible(folder)
        table = seen.pop("results.csv")
        assert table in (b"old table", b"new table")
        assert seen in ({}, whole_new)
        if not message:
            break
        assert str(folder) in message
        assert " are free" in message
        seen_failures += 1
        save(folder)  # and then it can be done again
        assert visible(folder) == {**whole_new, "results.csv": b"new table"}
    assert seen_failures == len(failing.calls) == n - 1


def test_replacing_a_folder_leaves_the_old_or_nothing(tmp_path, monkeypatch):
    for n in range(1, 100):
        folder = tmp_path / str(n)
        (folder / "key").mkdir(parents=True)
        (folder / "key" / "result.json").write_text("old")
        with monkeypatch.context() as patch:
            Failing(patch, n, errno.ENOSPC)
            try:
                save(folder)
            except files.WriteError:
                assert visible(folder).get("key/result.json") in (None, b"old", b"new")
                continue
        break
    assert visible(folder)["key/result.json"] == b"new"


def test_order_is_fsync_then_rename_then_fsync_of_the_folder(tmp_path, monkeypatch):
    failing = Failing(monkeypatch, 0, errno.EIO)
    files.write_bytes(tmp_path / "a", b"x")
    assert [name for name, _ in failing.calls] == ["write", "rename", "fsync"]
    assert failing.calls[-1][1] == str(tmp_path)


def test_body_that_raises_leaves_nothing(tmp_path):
    def body():
        with files.commit_folder(tmp_path / "key") as inside:
            files.write_text(inside / "a", "x")
            raise RuntimeError

    with pytest.raises(RuntimeError):
        body()
    assert list(tmp_path.iterdir()) == []


def test_leftovers_are_removed_and_nothing_else(tmp_path):
    (tmp_path / "0123.tmp-abc").mkdir()
    (tmp_path / "0123.tmp-abc" / "half").write_text("x")
    (tmp_path / "results.csv.tmp-1").write_text("x")
    (tmp_path / "0123").mkdir()
    assert files.remove_leftovers(tmp_path) == 2
    assert [p.name for p in tmp_path.iterdir()] == ["0123"]


def test_missing_folder_names_the_path(tmp_path):
    with pytest.raises(files.WriteError, match=r"cannot write .*gone/x: No such file"):
        files.write_text(tmp_path / "gone" / "x", "text")


def test_second_writer_is_told_who_holds_the_folder(tmp_path):
    code = textwrap.dedent(
        f"""
        import pathlib, sys
        from implant_sim import files
        with files.exclusive(pathlib.Path({str(tmp_path)!r})):
            print("held", flush=True)
            sys.stdin.read()
        """
    )
    with subprocess.Popen(
        [sys.executable, "-c", code], stdin=subprocess.PIPE, stdout=subprocess.PIPE
    ) as other:
        assert other.stdout.readline() == b"held\n"
        with (
            pytest.raises(SimError, match=f"in use by process {other.pid}"),
            files.exclusive(tmp_path),
        ):
            pass
        other.kill()  # a lock must not outlive its process
        other.wait()
        with files.exclusive(tmp_path):
            pass
