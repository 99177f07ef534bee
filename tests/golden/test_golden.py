"""Twenty steps of every demo recipe, shared among its phases, against stored losses: a change of any number on the way
shows here.

After a change that is meant: VIREID_WRITE_GOLDEN=1 python -m pytest tests/golden, and say why in the commit.
"""

import json
import os
from pathlib import Path

import pytest

from vireid.data import open_dataset
from vireid.training.loop import train
from vireid.training.recipe import load_recipe, recipe_names
from vireid.training.run import Run

FOLDER = Path(__file__).parent
STEPS = 20
TOLERANCE, FLOOR = 0.02, 2e-3  # other processors and numbers of threads round otherwise; twenty steps amplify it


@pytest.mark.parametrize("name", [name for name in recipe_names() if name.endswith("-demo")])
def test_twenty_steps_give_the_stored_losses(name: str, tiny_sysu: Path, tmp_path: Path) -> None:
    phases = [phase.name for phase in load_recipe(name).phases]
    overrides = [
        f"data.root={tiny_sysu}",
        "image.height=96",
        "image.width=48",
        "batch.identities=4",
        f"steps_per_epoch={STEPS // len(phases)}",
        "precision=fp32",
        "workers=0",
        *(f"phases.{phase}.epochs=1" for phase in phases),
        *(["clustering.eps=auto"] if name.startswith("mcf-") else []),  # the recipe's is for more people
        *(f"phases.{phase}.schedule.warmup_epochs=0" for phase in phases),
    ]
    recipe = load_recipe(name, overrides)
    run = Run(tmp_path / name)
    train(recipe, open_dataset("sysu", tiny_sysu), run, device="cpu")
    found = [{"step": record["step"], **record["losses"]} for record in run.records() if "losses" in record]
    stored = FOLDER / f"{name}.json"
    if os.environ.get("VIREID_WRITE_GOLDEN"):
        stored.write_text(json.dumps(found, indent=1) + "\n")
    expected = json.loads(stored.read_text())
    assert len(found) == len(expected) == STEPS // len(phases) * len(phases)
    for step, values in zip(found, expected, strict=True):
        assert step == pytest.approx(values, rel=TOLERANCE, abs=FLOOR), f"step {step['step']}"
