"""Points that differ only after the implant are shown as one design."""

from dataclasses import replace
from typing import Any

from implant_sim.report.designs import designs
from implant_sim.report.summary import Point, Summary


def point(index: int, label: str, **row: Any) -> Point:
    told = {"repeat": 0, "power_w": 1e-3, "schedule": "random_subset"} | row
    return Point(index, label.split(" · ")[0], label, (told,))


def shown(*points: Point) -> list[tuple[int, str]]:
    summary = Summary(list(points), [p.method for p in points], None, [], 1)
    return [(p.index, p.label) for p in designs(summary)]


def test_decoders_share_the_design_that_feeds_them() -> None:
    found = shown(
        point(0, "kalman · 72 ch", train_s=3.0),
        point(1, "lfads · 72 ch", train_s=90.0),
        point(2, "kalman · 18 ch", power_w=4e-4),
        point(3, "lfads · 18 ch", power_w=4e-4),
    )
    assert found == [(0, "72 ch"), (2, "18 ch")]


def test_whatever_the_implant_does_tells_designs_apart() -> None:
    first = point(0, "a")
    for row in (
        {"schedule": "static_subset"},
        {"power_radio_w": 1e-6},
        {"latency_s": 0.1},
        {"coverage": 0.5},
    ):
        assert shown(first, point(1, "b", **row)) == [(0, "a"), (1, "b")]


def test_a_design_without_a_name_of_its_own_is_called_by_its_first_point() -> None:
    assert shown(point(0, "kalman"), point(1, "lfads")) == [(0, "kalman and 1 other")]
    twins = [
        point(0, "a, cold · 72 ch", heat_k=0.1),
        point(1, "b, cold · 72 ch", heat_k=0.1),
        point(2, "a, warm · 72 ch", heat_k=0.2),
        point(3, "b, warm · 72 ch", heat_k=0.2),
    ]
    assert shown(*twins) == [
        (0, "a, cold · 72 ch and 1 other"),
        (2, "a, warm · 72 ch and 1 other"),
    ]


def test_the_front_is_not_lost() -> None:
    front = replace(point(1, "lfads · 72 ch"), standing="front")
    assert shown(point(0, "kalman · 72 ch"), front) == [(1, "72 ch")]
