"""Steady heating of perfused tissue (Pennes): closed forms for a plane, a sphere and a disc."""

from __future__ import annotations

import math
from dataclasses import dataclass

__all__ = ["BRAIN", "Tissue", "disc_conductance_w_k", "plane_rise_k", "sphere_conductance_w_k"]


@dataclass(frozen=True, slots=True)
class Tissue:
    """How tissue conducts heat and how blood carries it away."""

    conductivity_w_mk: float
    perfusion_w_m3k: float
    """Density times heat capacity of blood times its flow. [W/(m^3 K)]"""

    @property
    def length_m(self) -> float:
        """Distance over which a rise decays, ``sqrt(k / (rho_b c_b w))``. [m]"""
        return math.sqrt(self.conductivity_w_mk / self.perfusion_w_m3k)


BRAIN = Tissue(0.51, 39_607.0)
"""Perfusion from Marblestone et al. 2013; conductivity recalled (McIntosh & Anderson 2010)."""


def plane_rise_k(flux_w_m2: float, tissue: Tissue = BRAIN) -> float:
    """Rise at an infinite plane, ``q / sqrt(k rho_b c_b w)``.

    Parameters
    ----------
    flux_w_m2 : float
        Heat through the face into the tissue. [W/m^2]
    tissue : Tissue
        Its conductivity and perfusion.

    Returns
    -------
    float
        Rise of temperature. [K]

    References
    ----------
    .. [1] H. Pennes, J. Appl. Physiol. 1, 1948; one-dimensional steady solution.

    Examples
    --------
    >>> round(plane_rise_k(400.0), 1)  # 40 mW/cm2
    2.8
    """
    return flux_w_m2 / math.sqrt(tissue.conductivity_w_mk * tissue.perfusion_w_m3k)


def sphere_conductance_w_k(radius_m: float, tissue: Tissue = BRAIN) -> float:
    """Power that heats a sphere by 1 K, ``4 pi k a (1 + a/L)``.

    Parameters
    ----------
    radius_m : float
        a. [m]
    tissue : Tissue
        Its conductivity and perfusion.

    Returns
    -------
    float
        Thermal conductance into the tissue. [W/K]

    References
    ----------
    .. [1] H. Pennes, J. Appl. Physiol. 1, 1948; steady solution outside a sphere.

    Examples
    --------
    >>> f"{1e3 * sphere_conductance_w_k(1e-3):.2f} mW/K"
    '8.19 mW/K'
    """
    return 4 * math.pi * tissue.conductivity_w_mk * radius_m * (1 + radius_m / tissue.length_m)


def disc_conductance_w_k(area_m2: float, faces: int = 2, tissue: Tissue = BRAIN) -> float:
    """Power that heats a flat, isothermal chip by 1 K.

    ``0.94 (8 k a + 2 pi a^2 k / L)`` for a disc of radius ``a = sqrt(area / pi)`` that touches
    tissue with both faces; half of it with one. Within 1 % of a finite-volume solution for a/L
    from 0.28 to 3.2 (a from 1 to 11.5 mm) [1]_. It predicts 2.7 times the 0.029 K/mW measured on a
    Utah array [2]_, whose needles and fluid spread the heat.

    Parameters
    ----------
    area_m2 : float
        Area of one face. [m^2]
    faces : int
        Faces that touch tissue, 1 or 2.
    tissue : Tissue
        Its conductivity and perfusion.

    Returns
    -------
    float
        Thermal conductance into the tissue. [W/K]

    References
    ----------
    .. [1] Fit to an axisymmetric finite-volume solution of Pennes' equation.
    .. [2] S. Kim et al., IEEE Trans. Neural Syst. Rehabil. Eng. 15, 2007.

    Examples
    --------
    >>> f"{38.8e-3 / disc_conductance_w_k(144e-6):.2f} K"  # 38.8 mW on 12 x 12 mm
    '0.60 K'
    """
    k, a = tissue.conductivity_w_mk, math.sqrt(area_m2 / math.pi)
    return 0.94 * (8 * k * a + 2 * math.pi * a**2 * k / tissue.length_m) * faces / 2
