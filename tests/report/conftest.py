"""Made-up run folders."""

from __future__ import annotations

from pathlib import Path

import pytest

from implant_sim import report
from tests.report.made_up import STUDY, write_study


@pytest.fixture(scope="session")
def study_folder(tmp_path_factory) -> Path:
    """Two schedules, three bandwidths and full sampling, three repeats."""
    return write_study(tmp_path_factory.mktemp("study"), STUDY)


@pytest.fixture(scope="session")
def study_page(study_folder) -> Path:
    """The report of the study."""
    return report.build(study_folder)


@pytest.fixture(scope="session")
def single_folder(tmp_path_factory) -> Path:
    """One point, once."""
    designs = [("random_subset", 6)]
    return write_study(tmp_path_factory.mktemp("single"), designs, repeats=1, axes=False)


@pytest.fixture(scope="session")
def hardware_folder(tmp_path_factory) -> Path:
    """No decoder, no scores, no arrays."""
    return write_study(tmp_path_factory.mktemp("hardware"), STUDY, repeats=1, scored=False)
