"""drivewm: dream up rare driving situations, score a policy in them, distil it into a vehicle file."""

__version__ = "0.1.0"
