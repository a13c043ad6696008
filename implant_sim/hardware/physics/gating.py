"""Amplifiers that sleep: what a wake-up takes, and what is drawn in the mean."""

from __future__ import annotations

__all__ = ["gated_power_w", "wake_energy_j"]


def wake_energy_j(
    on_power_w: float, wake_s: float, bias_capacitance_f: float, supply_v: float
) -> float:
    """Energy of a wake-up: full power until the output is valid, and the bias nodes charged.

    ``E = P t + C V^2``

    Parameters
    ----------
    on_power_w : float
        Power while on. [W]
    wake_s : float
        From sleep to valid output. [s]
    bias_capacitance_f : float
        Of all nodes that were discharged. [F]
    supply_v : float
        Supply voltage. [V]

    Returns
    -------
    float
        Energy of one wake-up. [J]

    References
    ----------
    .. [1] Energy drawn from a supply that charges a capacitor, C V^2.

    Examples
    --------
    >>> f"{1e12 * wake_energy_j(5e-6, 10e-6, 10e-12, 1.0):.0f} pJ"
    '60 pJ'
    """
    return on_power_w * wake_s + bias_capacitance_f * supply_v**2


def gated_power_w(
    on_power_w: float,
    leak_w: float,
    wake_s: float,
    acquire_s: float,
    wakes_hz: float,
    charge_j: float,
) -> float:
    r"""Mean power of an amplifier that wakes for each acquisition and sleeps in between.

    .. math:: P = P_{on} D + P_{leak} (1 - D) + E f, \quad D = \min(1, (t_w + t_a) f)

    Parameters
    ----------
    on_power_w : float
        Power while on, which it draws while it settles, too. [W]
    leak_w : float
        Power asleep. [W]
    wake_s : float
        From sleep to valid output. [s]
    acquire_s : float
        Time with valid output after each wake-up. [s]
    wakes_hz : float
        Wake-ups in a second. [Hz]
    charge_j : float
        Energy of a wake-up beside `on_power_w`, as `amplifier.wake_energy`: the bias nodes. [J]

    Returns
    -------
    float
        Mean power; above `on_power_w` where wake-ups cost more than sleep saves. [W]

    References
    ----------
    .. [1] M. Chae et al., IEEE Trans. Neural Syst. Rehabil. Eng. 17, 2009: sequential turn-on.

    Examples
    --------
    Awake a quarter of the time:

    >>> f"{1e6 * gated_power_w(10e-6, 0.1e-6, 0.1e-3, 4.9e-3, 50.0, 10e-12):.3f} uW"
    '2.576 uW'
    """
    duty = min(1.0, (wake_s + acquire_s) * wakes_hz)
    return on_power_w * duty + leak_w * (1 - duty) + charge_j * wakes_hz
