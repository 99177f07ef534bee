"""The truth behind every picture, for oracles and tests; training never reads it."""

from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from vireid.data.synthetic.body import HOODED
from vireid.data.synthetic.cameras import Camera
from vireid.data.synthetic.knockouts import Knockouts
from vireid.data.synthetic.people import Person
from vireid.data.synthetic.plan import Plan
from vireid.data.synthetic.sightings import Frame, draw_frame
from vireid.files import new_file

__all__ = ["write_factors"]


def write_factors(
    path: Path, plan: Plan, people: Sequence[Person], cameras: Sequence[Camera], *, seed: int, knockouts: Knockouts
) -> None:
    """Write one row per picture: where it lies, its person's factors (prefix `true_`), and its nuisance."""
    truth = [_truth(person) for person in people]
    rows = []
    for shot in plan.shots:
        camera = cameras[shot.mount]
        frame = draw_frame(seed, camera, shot.person, shot.frame, knockouts=knockouts)
        place = {
            "path": shot.path,
            "identity": shot.label,
            "split": shot.split,
            "modality": str(camera.mount.modality),
            "camera": camera.mount.number,
            "frame": shot.frame,
        }
        rows.append(place | truth[shot.person] | _nuisance(frame, people[shot.person]))
    with new_file(path) as temporary:
        pd.DataFrame(rows).to_parquet(temporary, index=False)


def _truth(person: Person) -> dict[str, Any]:
    values: dict[str, Any] = {f"true_{name}": value for name, value in asdict(person.code).items()}
    values |= {"true_group": person.group, "true_block": person.block}
    for part, garment in (("upper", person.upper), ("lower", person.lower)):
        red, green, blue = garment.colour
        values |= {
            f"true_{part}_level": garment.level,
            f"true_{part}_tone": garment.tone,
            f"true_{part}_warmth": garment.warmth,
            f"true_{part}_red": red,
            f"true_{part}_green": green,
            f"true_{part}_blue": blue,
        }
        for name in ("weave", "front", "back") if part == "upper" else ("weave",):
            ink = getattr(garment, name)
            values |= {
                f"true_{part}_{name}_family": ink.family,
                f"true_{part}_{name}_technology": ink.technology,
                f"true_{part}_{name}_survives": ink.survives,
                f"true_{part}_{name}_inverted": ink.inverted,
            }
    return values | {f"true_shape_{name}": value for name, value in asdict(person.shape).items()}


def _nuisance(frame: Frame, person: Person) -> dict[str, Any]:
    turn = float(np.angle(np.exp(1j * frame.heading)))
    coat_open = frame.carried.coat_open and person.code.upper in ("coat", "jacket", "vest")
    bag_left = person.code.bag.endswith("left") != frame.carried.bag_swapped
    return {
        "heading": turn,
        "phase": frame.pose.phase % (2 * np.pi),
        "coat_open": frame.carried.coat_open,
        "hood_up": frame.carried.hood_up and person.code.upper in HOODED,
        "bag_swapped": frame.carried.bag_swapped,
        "shift_row": frame.shift[1],
        "shift_column": frame.shift[0],
        "zoom": frame.zoom,
        "exposure": frame.exposure,
        "patch": frame.patch[0],
        "free_from": 0.0 if frame.upper is None else frame.upper.edge,
        "free_to": 1.0 if frame.lower is None else frame.lower.edge,
        "shows_front": abs(turn) < 1.2 and not coat_open,
        "shows_back": abs(turn) > np.pi - 1.2 and person.code.bag != "backpack",
        # A person turned to the camera's right (positive heading) shows their right side less.
        "shows_bag": _shows_bag(turn, person.code.bag, left=bag_left),
        "shows_armband": (np.sin(turn) < 0.55) if person.code.armband == "left" else (np.sin(turn) > -0.55),
    }


def _shows_bag(turn: float, bag: str, *, left: bool) -> bool:
    if bag in ("none", "backpack"):
        return bag == "none" or abs(turn) > 0.7
    return bool(np.sin(turn) < 0.6) if left else bool(np.sin(turn) > -0.6)
