"""What a score is worth: log-likelihood ratios by pair of modalities, their cost, and how often chance reaches them."""

from vireid.matching.calibration.calibration import (
    RESAMPLES,
    Calibration,
    PairCalibration,
    calibrate_pair,
    expected_false_matches,
    expected_number,
    pair_name,
)
from vireid.matching.calibration.fitting import (
    LEAST_IDENTITIES,
    ScoredPairs,
    deal_folds,
    fit_logistic,
    held_out_llr,
)
from vireid.matching.calibration.measures import cllr, equal_error_rate, isotonic_llr, min_cllr

__all__ = [
    "LEAST_IDENTITIES",
    "RESAMPLES",
    "Calibration",
    "PairCalibration",
    "ScoredPairs",
    "calibrate_pair",
    "cllr",
    "deal_folds",
    "equal_error_rate",
    "expected_false_matches",
    "expected_number",
    "fit_logistic",
    "held_out_llr",
    "isotonic_llr",
    "min_cllr",
    "pair_name",
]
