"""Rendered people in the official layouts: a benchmark without licences."""

from vireid.data.synthetic.cues import Only
from vireid.data.synthetic.engine import GENERATOR, SynthesisReport
from vireid.data.synthetic.knockouts import Knockouts
from vireid.data.synthetic.presets import LAYOUTS, PRESETS, Preset
from vireid.data.synthetic.pretraining import synthesize_pretraining
from vireid.data.synthetic.sheet import contact_sheet
from vireid.data.synthetic.synthesize import synthesize

__all__ = [
    "GENERATOR",
    "LAYOUTS",
    "PRESETS",
    "Knockouts",
    "Only",
    "Preset",
    "SynthesisReport",
    "contact_sheet",
    "synthesize",
    "synthesize_pretraining",
]
