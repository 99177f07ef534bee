"""The matchers by the names that bundles and galleries keep."""

from vireid.errors import choose
from vireid.matching.base import Dot, Matcher
from vireid.matching.modulated import ModulatedCosine, ModulatedEuclidean, ModulatedPartCosine
from vireid.matching.target_aware import TargetAware, TargetAwareMutual

__all__ = ["create_matcher"]

_MATCHERS: tuple[type[Matcher], ...] = (
    Dot,
    ModulatedCosine,
    ModulatedEuclidean,
    ModulatedPartCosine,
    TargetAware,
    TargetAwareMutual,
)


def create_matcher(name: str) -> Matcher:
    """The matcher that a bundle names.

    Raises:
        UsageError: no matcher has that name.
    """
    matchers = {matcher.name: matcher for matcher in _MATCHERS}
    return matchers[choose(name, matchers, "matcher")]()
