"""Rendering speed of synthetic people, one core: prints one JSON line per figure.

Run: python bench/bench_render.py
"""

import json
import os
import time

os.environ.setdefault("OMP_NUM_THREADS", "1")

from vireid.data.synthetic.cameras import draw_camera
from vireid.data.synthetic.knockouts import NOTHING_OUT
from vireid.data.synthetic.people import Group, draw_people
from vireid.data.synthetic.picture import take
from vireid.data.synthetic.plan_sysu import MOUNTS
from vireid.data.synthetic.sightings import draw_frame

SIZES = ((96, 48), (144, 72), (288, 144))
PICTURES = 240
SYSU_PICTURES = 45_863


def pictures_per_second(size: tuple[int, int]) -> float:
    """Pictures rendered (not written) per second, cameras in the proportions of SYSU-MM01's layout."""
    people = draw_people(0, [Group(block=1, size=1)] * 40, test_identities=96, knockouts=NOTHING_OUT)
    cameras = [draw_camera(0, mount, NOTHING_OUT) for mount in MOUNTS]
    jobs = [
        (people[number % 40], camera, draw_frame(0, camera, number % 40, number, knockouts=NOTHING_OUT))
        for number in range(PICTURES // len(cameras))
        for camera in cameras
    ]
    for person, camera, frame in jobs[: len(cameras)]:
        take(person, camera, frame, seed=0, size=size)
    began = time.perf_counter()
    for person, camera, frame in jobs:
        take(person, camera, frame, seed=0, size=size)
    return len(jobs) / (time.perf_counter() - began)


def main() -> None:
    for height, width in SIZES:
        speed = pictures_per_second((height, width))
        figure = {"bench": "render", "size": f"{height}x{width}", "images_per_second_per_core": round(speed, 1)}
        if height == 288:
            figure["sysu_full_minutes_on_two_cores"] = round(SYSU_PICTURES / speed / 2 / 60, 1)
        print(json.dumps(figure))


if __name__ == "__main__":
    main()
