"""Heat: the rise and the flux at an implant's surface, and what its field adds."""

from __future__ import annotations

import math
from dataclasses import dataclass

from implant_sim.hardware.components.array import Array
from implant_sim.hardware.implant import Implant
from implant_sim.hardware.physics import heat as physics
from implant_sim.hardware.physics.exposure import sar_rise_k

__all__ = ["Heat", "conductance_w_k", "warm"]


@dataclass(frozen=True, slots=True)
class Heat:
    """What a power does to the tissue around an implant."""

    rise_k: float
    """Of the surface, with what the tissue absorbs of the field that powers the implant."""
    flux_w_m2: float
    sar_w_kg: float | None
    """Absorption of that field; None without one."""
    model: str
    """disc, sphere or plane (Pennes' equation), or measured (a thermal resistance)."""


def conductance_w_k(array: Array) -> float:
    """Power that heats an implant's surface by 1 K, by its measured resistance or its body.

    Parameters
    ----------
    array : Array
        Body, area, faces, measured resistance.

    Returns
    -------
    float
        Thermal conductance into the tissue. [W/K]
    """
    if array.thermal_resistance_k_w is not None:
        return 1 / array.thermal_resistance_k_w
    if array.body == "sphere":
        return physics.sphere_conductance_w_k(math.sqrt(array.area_m2 / math.pi))
    if array.body == "plane":
        return array.faces * array.area_m2 / physics.plane_rise_k(1.0)
    return physics.disc_conductance_w_k(array.area_m2, array.faces)


def _wetted_m2(array: Array) -> float:
    return array.area_m2 * (4 if array.body == "sphere" else array.faces)


def warm(implant: Implant, heat_w: float) -> Heat:
    """Heat an implant.

    Parameters
    ----------
    implant : Implant
        Its body, the field that powers it, and the area that its flux refers to.
    heat_w : float
        Power turned into heat inside it. [W]

    Returns
    -------
    Heat
        Rise, flux, absorption.
    """
    array, exposure = implant.array, implant.power.exposure
    sar = None if exposure is None else exposure.sar_w_kg
    wetted = implant.limits.flux_area == "wetted"
    return Heat(
        rise_k=heat_w / conductance_w_k(array) + (0.0 if sar is None else sar_rise_k(sar)),
        flux_w_m2=heat_w / (_wetted_m2(array) if wetted else array.area_m2),
        sar_w_kg=sar,
        model=array.body if array.thermal_resistance_k_w is None else "measured",
    )
