"""Work in named units that are done once: the same call after a crash goes on where it stopped. Knows nothing of driving."""

from drivewm.execution.units import Progress, Unit, UnitError, Work, run_units

__all__ = ["Progress", "Unit", "UnitError", "Work", "run_units"]
