"""The doctor: what is wrong with a copy of a data set, and which preparation step probably went wrong."""

from vireid.data.doctor.examining import examine
from vireid.data.doctor.findings import CHECKS, Check, Diagnosis, Finding, Level
from vireid.data.doctor.recognise import LAYOUTS

__all__ = ["CHECKS", "LAYOUTS", "Check", "Diagnosis", "Finding", "Level", "examine"]
