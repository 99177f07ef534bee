"""The matchers that bundles and galleries make by the names they keep."""

from vireid.errors import choose
from vireid.matching.base import Dot, Matcher
from vireid.matching.modulated import ModulatedCosine, ModulatedEuclidean, ModulatedPartCosine
from vireid.matching.target_aware import TargetAware, TargetAwareMutual

__all__ = ["create_matcher", "is_registered"]

_MATCHERS: tuple[type[Matcher], ...] = (
    Dot,
    ModulatedCosine,
    ModulatedEuclidean,
    ModulatedPartCosine,
    TargetAware,
    TargetAwareMutual,
)


def is_registered(name: str) -> bool:
    """Whether the name alone makes the matcher; one that holds a method's weights is made by the method."""
    return any(matcher.name == name for matcher in _MATCHERS)


def create_matcher(name: str) -> Matcher:
    """The matcher that a bundle names.

    Raises:
        UsageError: no matcher has that name.
    """
    matchers = {matcher.name: matcher for matcher in _MATCHERS}
    return matchers[choose(name, matchers, "matcher")]()
