"""BIT: a frozen transformer finds candidates, and a network that looks at two pictures together decides.

Xu and Niu, "BIT", CVPR 2026 (arXiv 2603.14243).
"""

from vireid.methods.bit.method import BIT
from vireid.methods.bit.options import BITOptions

__all__ = ["BIT", "BITOptions"]
