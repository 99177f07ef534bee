"""Pictures embedded in a second by torch in fp32 and bf16 and by ONNX Runtime in fp32 and int8; one JSON line each.

    python bench/bench_export.py [--method agw] [--architecture resnet50] [--height 288] [--width 144] [--threads 2]

A random model on random pictures of the network's size, in batches of 16, one modality. Ranges of int8 are learnt from
the same pictures: this says how fast it is, and nothing of what it costs.
"""

import argparse
import json
import os
import tempfile
from pathlib import Path

import torch

from timing import median
from vireid.export import export_bundle
from vireid.export.files import save_graphs
from vireid.export.graphs import trace
from vireid.export.int8 import quantise
from vireid.export.parity import made_up_pictures
from vireid.methods import create
from vireid.methods.bundle import Bundle, Card, Preprocessing, save_bundle
from vireid.methods.encoder import Encoder, TorchEncoder
from vireid.methods.exported import graph_file
from vireid.methods.onnx_encoder import inputs_of, open_session
from vireid.types import DataInfo, Modality

BATCH = 16
CARD = Card(
    dataset="none",
    dataset_kind="sysu",
    dataset_fingerprint="0",
    licence="none",
    restricted=False,
    protocol="none",
    identities=(),
    recipe="",
    seed=0,
    vireid="0",
)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--method", default="agw")
    parser.add_argument("--architecture", default="resnet50")
    parser.add_argument("--height", type=int, default=288)
    parser.add_argument("--width", type=int, default=144)
    parser.add_argument("--repeat", type=int, default=5)
    parser.add_argument("--threads", type=int, default=len(os.sched_getaffinity(0)))
    given = parser.parse_args()
    torch.set_num_threads(given.threads)
    size = given.height, given.width
    pictures = made_up_pictures(size, BATCH)[Modality.VISIBLE]
    with tempfile.TemporaryDirectory() as folder:
        bundle = random_bundle(Path(folder) / "bundle", given.method, given.architecture, size)
        network = bundle.method().to(memory_format=torch.channels_last)
        encoders: dict[str, Encoder] = {
            "torch fp32": TorchEncoder(network, bundle.preprocessing),
            "torch bf16": TorchEncoder(network, bundle.preprocessing, bf16=True),
            "ONNX Runtime fp32": export_bundle(bundle, Path(folder) / "export", device="cpu").encoder(device="cpu"),
        }
        for name, encoder in encoders.items():
            seconds, _ = median(lambda encoder=encoder: encoder.embed(pictures, Modality.VISIBLE), given.repeat)
            tell(name, seconds, given)
        name = graph_file(Modality.VISIBLE)
        model = quantise(trace(bundle).of[name], pictures, bundle.preprocessing)
        (Path(folder) / "int8").mkdir()
        save_graphs(Path(folder) / "int8", {name: model})
        session = open_session(Path(folder) / "int8" / name, "cpu")
        work = lambda: session.run(None, {"images": inputs_of(pictures, bundle.preprocessing)})  # noqa: E731
        tell("ONNX Runtime int8", median(work, given.repeat)[0], given)


def random_bundle(folder: Path, method: str, architecture: str, size: tuple[int, int]) -> Bundle:
    data = DataInfo(identities=4, image_size=size, visible_cameras=(1,), infrared_cameras=(3,))
    torch.manual_seed(0)
    made = create(method, data=data, architecture=architecture).eval()
    return save_bundle(folder, made, preprocessing=Preprocessing(height=size[0], width=size[1]), card=CARD)


def tell(name: str, seconds: float, given: argparse.Namespace) -> None:
    figure = {"name": name, "method": given.method, "architecture": given.architecture}
    figure |= {"size": f"{given.height}x{given.width}", "threads": given.threads}
    print(json.dumps(figure | {"pictures_per_second": round(BATCH / seconds, 1)}))


if __name__ == "__main__":
    main()
