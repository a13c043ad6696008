"""Physical constants, as a record: a published number may have been computed with others."""

from __future__ import annotations

import math
from dataclasses import dataclass

__all__ = ["BODY", "CONSTANTS", "KARPOWICZ2024", "Constants"]

_ELEMENTARY_CHARGE_C = 1.602176634e-19  # exact since the SI of 2019


@dataclass(frozen=True, slots=True)
class Constants:
    """Boltzmann's constant and the temperature of the electronics."""

    boltzmann_j_k: float
    temperature_k: float
    thermal_voltage_v: float

    @property
    def thermal_energy_j(self) -> float:
        """The energy kT. [J]"""
        return self.boltzmann_j_k * self.temperature_k

    @property
    def landauer_j_bit(self) -> float:
        """The least energy that a bit costs, kT ln 2. [J/bit]

        Examples
        --------
        >>> f"{BODY.landauer_j_bit:.3e}"
        '2.968e-21'
        """
        return self.thermal_energy_j * math.log(2)


_K = 1.380649e-23  # J/K, exact since the SI of 2019

BODY = Constants(_K, 310.15, _K * 310.15 / _ELEMENTARY_CHARGE_C)
"""SI of 2019 at 37 degrees Celsius."""

KARPOWICZ2024 = Constants(1.38e-23, 310.0, 0.0267)
"""As rounded in the amplifier and ADC notebook of snel-repo/power-calculations."""

CONSTANTS = {"body": BODY, "karpowicz2024": KARPOWICZ2024}
