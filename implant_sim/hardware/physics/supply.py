"""Battery time, losses on the way, and how digital energy scales."""

from __future__ import annotations

import math

__all__ = ["battery_s", "digital_scale", "drawn_w", "loss_per_joule"]


def battery_s(capacity_c: float, voltage_v: float, usable: float, power_w: float) -> float:
    """Time that a battery lasts, ``capacity * voltage * usable / power``.

    Parameters
    ----------
    capacity_c : float
        Charge. [C]
    voltage_v : float
        Mean voltage of the cell. [V]
    usable : float
        Share of the capacity that can be used, 0 to 1.
    power_w : float
        Mean power drawn, above 0. [W]

    Returns
    -------
    float
        Time. [s]

    References
    ----------
    .. [1] Energy balance.

    Examples
    --------
    200 mAh lasted 7 h in the wireless implant of Borton et al. 2013, which draws 90.6 mW:

    >>> round(battery_s(720.0, 3.7, 0.86, 90.6e-3) / 3600, 1)
    7.0
    """
    return capacity_c * voltage_v * usable / power_w


def loss_per_joule(efficiency: float) -> float:
    """Energy lost for each joule delivered, ``1/efficiency - 1``.

    Parameters
    ----------
    efficiency : float
        Energy out over energy in, in (0, 1].

    Returns
    -------
    float
        Loss. [J/J]

    References
    ----------
    .. [1] Energy balance.

    Examples
    --------
    >>> loss_per_joule(0.8)
    0.25
    """
    return 1 / efficiency - 1


def drawn_w(load_w: float, *efficiencies: float) -> float:
    """Power drawn through stages one behind the other, ``load / (eta_1 eta_2 ...)``.

    Parameters
    ----------
    load_w : float
        What the last stage delivers. [W]
    *efficiencies : float
        Of link, rectifier, regulator, each in (0, 1].

    Returns
    -------
    float
        Power into the first stage. [W]

    References
    ----------
    .. [1] Energy balance.

    Examples
    --------
    >>> f"{1e3 * drawn_w(1e-3, 0.5, 0.8):.1f} mW"
    '2.5 mW'
    """
    return load_w / math.prod(efficiencies)


def digital_scale(
    node_m: float, from_node_m: float, supply_v: float, from_supply_v: float
) -> float:
    """Factor from the energy of a digital operation in one process to that in another.

    ``(node / from_node) (supply / from_supply)^2``: capacitance falls with the gate's length.

    Parameters
    ----------
    node_m, from_node_m : float
        Gate length of the process wanted, and of the one that was measured. [m]
    supply_v, from_supply_v : float
        Supply wanted, and the one that was measured. [V]

    Returns
    -------
    float
        Factor on the energy. It does not hold for leakage.

    References
    ----------
    .. [1] R. Dennard et al., IEEE J. Solid-State Circuits 9, 1974.

    Examples
    --------
    >>> digital_scale(65e-9, 130e-9, 0.9, 1.8)
    0.125
    """
    return node_m / from_node_m * (supply_v / from_supply_v) ** 2
