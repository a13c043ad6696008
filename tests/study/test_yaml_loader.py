"""YAML means what people mean by it, and every value knows its place."""

from __future__ import annotations

import math

import pytest
import yaml
from hypothesis import given, settings
from hypothesis import strategies as st

from implant_sim.study.yaml_loader import MAX_BYTES, MAX_DEPTH, parse, parse_file, printable
from sbtt_models.errors import SpecError

SPELLINGS = [
    ("5e-12", 5e-12), ("1e6", 1e6), ("1E6", 1e6), ("-1e-9", -1e-9), ("+2.5e+3", 2500.0),
    ("1.0e-9", 1e-9), (".5", 0.5), ("5.", 5.0), ("0.1", 0.1), ("-0", 0), ("12", 12), ("+7", 7),
    ("007", 7), ("0x1F", 31), ("0o17", 15), ("1_000", "1_000"), ("12:30:45", "12:30:45"),
    ("no", "no"), ("yes", "yes"), ("on", "on"), ("Off", "Off"), ("y", "y"), ("n", "n"),
    ("true", True), ("True", True), ("TRUE", True), ("false", False), ("tRue", "tRue"),
    ("null", None), ("~", None), ("", None), ("Null", None), ("nil", "nil"),
    ("'5e-12'", "5e-12"), ('"no"', "no"), ("2001-01-01", "2001-01-01"), ("5 pJ", "5 pJ"),
    ("30 kHz", "30 kHz"), ("1e", "1e"), ("e5", "e5"), ("0b11", "0b11"), ("=", "="), ("<<", "<<"),
    ("-", "-"), ("1.2.3", "1.2.3"), ("١٢", "١٢"), ("µV", "µV"), ("1e400", math.inf),
]  # fmt: skip


@pytest.mark.parametrize(("text", "value"), [s for s in SPELLINGS if s[0] != "-"])
def test_scalar_is_what_people_mean(text, value):
    got = parse(f"key: {text}\n", "t").plain()["key"]
    assert got == value
    assert type(got) is type(value)


def test_named_floats():
    got = parse("[.inf, -.INF, .nan]", "t").plain()
    assert got[:2] == [math.inf, -math.inf]
    assert math.isnan(got[2])


def test_places_are_line_and_column_from_one():
    root = parse("a: 1\nb:\n  c:   [x,\n       y]\n", "f.yaml")
    c = root.mapping["b"].mapping["c"]
    assert str(c.key_place) == "f.yaml:3:3"
    assert str(c.place) == "f.yaml:3:8"
    assert str(c.value[1].place) == "f.yaml:4:8"


def test_bom_and_crlf_are_fine(tmp_path):
    path = tmp_path / "s.yaml"
    path.write_bytes(b"\xef\xbb\xbfname: x\r\nseed: 3\r\n")
    assert parse_file(path).plain() == {"name": "x", "seed": 3}


REFUSED = [
    ("a: 1\nb: 2\na: 3\n", r"t:3:1: key 'a' is given twice \(first in line 1\)"),
    ("a: {x: 1, x: 2}\nb: {y: 1, y: 2}\n", r"(?s)t:1:11: .*twice.*t:2:11: .*twice"),
    ("a:\n\tb: 1\n", "t:2:1: a tab cannot indent YAML; use spaces"),
    ("a: &x 1\nb: *x\n", "t:1:4: anchors and aliases are not allowed"),
    ("b: *x\n", "t:1:4: anchors and aliases are not allowed"),
    ("a: !!python/object/apply:os.system [ls]\n", "t:1:4: tag .*python/object.* is not allowed"),
    ("a: !!str 5\n", "t:1:4: tag"),
    ("a: ! 5\n", "t:1:4: tag"),
    ("1: x\n", "t:1:1: a key must be text"),
    ("? [a, b]\n: x\n", "a key must be text"),
    ("? \n: x\n", "a key must be text"),
    ("a: 1\n---\nb: 2\n", "expected a single document"),
    ("", "t: is empty"),
    ("# only a comment\n", "t: is empty"),
    ("a: [1, 2\n", "t:2:1"),
    ("a: 'open\n", "t:"),
    ("a: \x1b]0;x\x07\n", r"t:1:4: control character U\+001B"),
    ("a: 1\nb: \x00\n", r"t:2:4: control character U\+0000"),
    ("a: " + "1" * 101, "a whole number of 101 digits"),
    ("%YAML 1.2\n---\na: 1\n...\n--- b\n", "expected a single document"),
]


@pytest.mark.parametrize(("text", "message"), REFUSED)
def test_refused_with_place(text, message):
    with pytest.raises(SpecError, match=message):
        parse(text, "t")


@pytest.mark.parametrize("opening", ["[", "{a: ", "- "])
def test_deep_nesting_is_refused_at_its_depth(opening):
    ends = {"[": "]", "{a: ": "}", "- ": ""}[opening]
    fine = opening * (MAX_DEPTH - 1) + "x" + ends * (MAX_DEPTH - 1)
    parse(fine, "t")
    with pytest.raises(SpecError, match="nested deeper than 50"):
        parse(opening * MAX_DEPTH + "x" + ends * MAX_DEPTH, "t")


def test_file_too_large_utf16_missing_or_no_file(tmp_path):
    big = tmp_path / "big.yaml"
    big.write_bytes(b"a: " + b"x" * MAX_BYTES)
    with pytest.raises(SpecError, match="exceeds 1,000,000 bytes"):
        parse_file(big)
    wide = tmp_path / "wide.yaml"
    wide.write_text("a: 1", encoding="utf-16")
    with pytest.raises(SpecError, match="is UTF-16"):
        parse_file(wide)
    latin = tmp_path / "latin.yaml"
    latin.write_bytes(b"a: 1\nb: \xe4\n")
    with pytest.raises(SpecError, match=r"latin.yaml:2: is not UTF-8"):
        parse_file(latin)
    with pytest.raises(SpecError, match="no such file"):
        parse_file(tmp_path / "missing.yaml")
    with pytest.raises(SpecError, match="not a file"):
        parse_file(tmp_path)


plain = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-(10**12), 10**12)
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.text("abcµ :#-'\"[]{},&*!0159eE.+", max_size=12),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(st.text("abc_.", min_size=1, max_size=5), inner, max_size=3)
    ),
    max_leaves=12,
)


@settings(max_examples=150, deadline=None, derandomize=True)
@given(plain)
def test_what_json_writes_is_read_back(value):
    import json

    got = parse(json.dumps(value, ensure_ascii=False), "t").plain()
    assert got == value


@settings(max_examples=300, deadline=None, derandomize=True)
@given(st.text("ab:- []{}#&*!|>'\"%@\t\n,?~.1e", max_size=40))
def test_anything_is_read_or_refused_with_one_kind_of_error(text):
    try:
        parse(text, "t").plain()
    except SpecError as error:
        message = str(error)
    else:
        message = "t"
    assert message.startswith("t")


def test_loader_is_pure_python_and_safe():
    from implant_sim.study import yaml_loader

    assert issubclass(yaml_loader._Loader, yaml.SafeLoader)
    assert not issubclass(yaml_loader._Loader, getattr(yaml, "CSafeLoader", type(None)))


def test_printable_strips_terminal_codes():
    assert printable("a\x1b]0;title\x07b\n") == "a�]0;title�b�"
