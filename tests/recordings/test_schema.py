"""Every source describes itself, and survives being written out and read back."""

from __future__ import annotations

import json
from typing import get_args

import pytest
import yaml
from pydantic import TypeAdapter

from implant_sim.recordings import AnyRecording, RecordingSource
from tests.recordings.blocks import BLOCKS

ADAPTER = TypeAdapter(AnyRecording)
MEMBERS = get_args(get_args(AnyRecording)[0])


@pytest.mark.parametrize("member", MEMBERS)
def test_a_member_has_one_method_and_a_kind(member):
    assert issubclass(member, RecordingSource)
    assert member.model_fields["kind"].default
    assert member.__doc__
    assert "load" in dir(member)


def test_kinds_are_those_promised():
    kinds = {member.model_fields["kind"].default for member in MEMBERS}
    assert kinds == {
        "lorenz", "calcium", "poisson", "hdf5", "npz", "mat", "lfads_h5", "nlb", "nwb",
    }  # fmt: skip


def test_json_schema_is_made():
    text = json.dumps(ADAPTER.json_schema())
    assert "conversion_factor" in text  # field docstrings are in it


@pytest.mark.parametrize("name", sorted(BLOCKS))
def test_written_out_and_read_back(name):
    source = ADAPTER.validate_python(yaml.safe_load(BLOCKS[name]))
    written = yaml.safe_dump(source.model_dump(mode="json", by_alias=True))
    assert ADAPTER.validate_python(yaml.safe_load(written)) == source
