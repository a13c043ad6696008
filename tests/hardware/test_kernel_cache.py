"""A damaged, read-only or foreign cache of compiled kernels costs time, never a result."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from implant_sim.hardware.kernels.compile import cache_folder

PROGRAM = """
import warnings
warnings.simplefilter("always")
import numpy as np
from implant_sim.hardware.kernels import masks
start, members = np.arange(4), np.arange(3)
print(masks.round_robin(4, start, members, 2).astype(int).tolist())
"""
ANSWER = "[[1, 1, 0], [1, 0, 1], [0, 1, 1], [1, 1, 0]]"


def run(**environment: str) -> tuple[str, str]:
    kept = {k: v for k, v in os.environ.items() if not k.startswith(("NUMBA_", "XDG_"))}
    done = subprocess.run(
        [sys.executable, "-c", PROGRAM],
        env=kept | environment,
        capture_output=True,
        text=True,
        check=True,
        timeout=120,
    )
    return done.stdout.strip(), done.stderr


@pytest.fixture(scope="module")
def warm(tmp_path_factory) -> Path:
    """A folder that one run has filled."""
    folder = tmp_path_factory.mktemp("cache")
    assert run(XDG_CACHE_HOME=str(folder)) == (ANSWER, "")
    return folder


def files(folder: Path, ending: str) -> list[Path]:
    return sorted(folder.rglob(f"*{ending}"))


def test_cache_is_ours_by_default_and_is_used(warm):
    assert files(warm, ".nbi")
    assert all("implant-sim" in str(path) for path in files(warm, ".nbi"))
    before = {path: path.stat().st_mtime_ns for path in files(warm, ".nbc")}
    assert run(XDG_CACHE_HOME=str(warm)) == (ANSWER, "")
    assert before == {path: path.stat().st_mtime_ns for path in files(warm, ".nbc")}


SLOW = pytest.mark.slow


@pytest.mark.parametrize(
    ("ending", "damage"),
    [
        (".nbi", "half"),
        pytest.param(".nbi", "empty", marks=SLOW),
        pytest.param(".nbi", "flipped", marks=SLOW),
        pytest.param(".nbc", "half", marks=SLOW),
        pytest.param(".nbc", "empty", marks=SLOW),
        pytest.param(".nbc", "flipped", marks=SLOW),
    ],
)
def test_damage_is_compiled_anew(warm, ending, damage):
    for path in files(warm, ending):
        data = bytearray(path.read_bytes())
        if damage == "flipped":
            for i in range(0, len(data), 7):
                data[i] ^= 0x10
        path.write_bytes({"empty": b"", "half": data[: len(data) // 2]}.get(damage, bytes(data)))
    answer, said = run(XDG_CACHE_HOME=str(warm))
    assert answer == ANSWER
    assert "Traceback" not in said
    assert run(XDG_CACHE_HOME=str(warm)) == (ANSWER, "")  # and is whole again


def test_one_flipped_bit_of_the_code_is_never_executed(warm):
    path = max(files(warm, ".nbc"), key=lambda p: p.stat().st_size)
    data = bytearray(path.read_bytes())
    data[len(data) // 2] ^= 1
    path.write_bytes(bytes(data))
    answer, said = run(XDG_CACHE_HOME=str(warm))
    assert answer == ANSWER
    assert "is damaged" in said


def test_a_folder_that_cannot_be_made_is_done_without(tmp_path):
    (tmp_path / "file").write_text("not a folder")
    answer, said = run(XDG_CACHE_HOME=str(tmp_path / "file"), HOME=str(tmp_path))
    assert answer == ANSWER
    assert "Traceback" not in said


def test_the_users_own_choice_is_kept(tmp_path):
    assert run(NUMBA_CACHE_DIR=str(tmp_path / "own"), HOME=str(tmp_path))[0] == ANSWER
    assert files(tmp_path / "own", ".nbi")
    assert not (tmp_path / ".cache").exists()


def test_bounds_checks_have_a_cache_of_their_own(tmp_path):
    plain, checked = (cache_folder({"NUMBA_BOUNDSCHECK": on}) for on in ("0", "1"))
    assert plain != checked


@SLOW
def test_checked_and_uncompiled_runs_agree(tmp_path):
    assert run(NUMBA_BOUNDSCHECK="1", XDG_CACHE_HOME=str(tmp_path))[0] == ANSWER
    assert run(NUMBA_DISABLE_JIT="1", XDG_CACHE_HOME=str(tmp_path))[0] == ANSWER
