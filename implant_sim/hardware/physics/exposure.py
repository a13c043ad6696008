"""What a radio-frequency field does to tissue: specific absorption rate and its limits."""

from __future__ import annotations

import math

from implant_sim.hardware.physics.heat import BRAIN, Tissue

__all__ = ["field_v_m", "sar_rise_k", "sar_w_kg"]

_FREE_SPACE_OHM = 376.730313668


def sar_w_kg(field_v_m: float, conductivity_s_m: float, density_kg_m3: float) -> float:
    """Specific absorption rate, ``sigma E^2 / rho``.

    Parameters
    ----------
    field_v_m : float
        Electric field in the tissue, rms. [V/m]
    conductivity_s_m : float
        Of the tissue at the field's frequency. [S/m]
    density_kg_m3 : float
        Of the tissue. [kg/m^3]

    Returns
    -------
    float
        Power absorbed by mass. [W/kg]

    References
    ----------
    .. [1] Joule heating; IEEE C95.1-2019.

    Examples
    --------
    >>> round(sar_w_kg(50.0, 0.8, 1040.0), 2)
    1.92
    """
    return conductivity_s_m * field_v_m**2 / density_kg_m3


def field_v_m(density_w_m2: float) -> float:
    """Electric field of a plane wave in air, ``sqrt(S 377 ohm)``.

    The field inside tissue is weaker, so that the absorption computed from it is an upper bound.

    Parameters
    ----------
    density_w_m2 : float
        Incident power density. [W/m^2]

    Returns
    -------
    float
        Electric field, rms. [V/m]

    References
    ----------
    .. [1] Impedance of free space.

    Examples
    --------
    10 mW/cm2:

    >>> round(field_v_m(100.0))
    194
    """
    return math.sqrt(density_w_m2 * _FREE_SPACE_OHM)


def sar_rise_k(sar_w_kg: float, tissue: Tissue = BRAIN) -> float:
    """Rise of tissue that absorbs everywhere alike, ``SAR rho / (rho_b c_b w)``.

    An upper bound: a field that is stronger in one place loses heat to the tissue around.

    Parameters
    ----------
    sar_w_kg : float
        Specific absorption rate. [W/kg]
    tissue : Tissue
        Its density and perfusion.

    Returns
    -------
    float
        Rise of temperature. [K]

    References
    ----------
    .. [1] H. Pennes, J. Appl. Physiol. 1, 1948; no gradient.

    Examples
    --------
    >>> round(sar_rise_k(1.6), 3)
    0.042
    """
    return sar_w_kg * tissue.density_kg_m3 / tissue.perfusion_w_m3k
