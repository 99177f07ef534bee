"""CAL: parts of one picture are looked up in the other one, so that what is aligned is the same part of the body.

Wu, Liu, Su, Shi and Tang, "Learning Concordant Attention via Target-aware Alignment for Visible-Infrared Person
Re-identification", ICCV 2023.
"""

from vireid.methods.cal.method import CAL
from vireid.methods.cal.options import CALOptions

__all__ = ["CAL", "CALOptions"]
