"""Choices made without labels beside fixed values, on training pictures of a data set; one JSON line each.

    python bench/bench_choices.py --root runs/demo/data

The pictures are embedded by the untrained network of the recipe mcf-demo, or by `--bundle`, and clustered with fixed
and chosen neighbours and radii. Identities serve the printed figures alone: clusters, share in none, purity and
adjusted Rand index of each modality, and the share of visible clusters matched with the right infrared one.
"""

import argparse
import json
from pathlib import Path
from typing import Any

import torch

from vireid.clustering import cluster, label_statistics, match_clusters, match_precision, region_similarity
from vireid.data import open_dataset
from vireid.methods import method_class
from vireid.methods.bundle import Bundle
from vireid.training.pictures import TrainingData
from vireid.training.recipe import load_recipe
from vireid.types import Modality, untracked

CHOICES: tuple[tuple[Any, Any], ...] = ((16, 0.5), (16, 0.6), (30, 0.6), (16, "auto"), ("auto", 0.6), ("auto", "auto"))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--root", type=Path, default=Path("runs/demo/data"))
    parser.add_argument("--kind", default="sysu")
    parser.add_argument("--bundle", type=Path)
    given = parser.parse_args()
    if not given.root.is_dir():
        print(json.dumps({"name": "choices", "skipped": f"{given.root} is not there; run make demo, or give --root"}))
        return
    recipe = load_recipe("mcf-demo", [f"data.kind={given.kind}", f"data.root={given.root}", "data.protocol=null"])
    dataset = open_dataset(given.kind, given.root)
    data = TrainingData.of(dataset, recipe)
    torch.manual_seed(recipe.seed)
    if given.bundle:
        method = Bundle.open(given.bundle).method()
    else:
        method = method_class("mcf")(recipe.method_options(), data.info(recipe))
        method.load_start(recipe.start)
    pictures = data.pictures_for(method, recipe, device=torch.device("cpu"), track=untracked)
    features = {m: pictures.embed(m).vector for m in Modality}
    people = {m: dataset.images.identity.to_numpy()[data.rows_of(m)] for m in Modality}
    regions = int(recipe.options["regions"])
    for k1, eps in CHOICES:
        found = {m: cluster(features[m], k1=k1, eps=eps) for m in Modality}
        line: dict[str, Any] = {"name": f"k1={k1} eps={eps}"}
        for m, own in found.items():
            figures = label_statistics(own.labels, people[m])
            line[m.value] = {"k1": own.k1, "eps": round(own.eps, 3), "clusters": figures.clusters}
            line[m.value] |= {key: round(getattr(figures, key), 3) for key in ("noise", "purity", "ari")}
        visible, infrared = (found[m].labels for m in Modality)
        similarity = region_similarity(
            features[Modality.VISIBLE], visible, features[Modality.INFRARED], infrared, regions=regions
        )
        matches = match_clusters(similarity, mu="auto")
        right = match_precision(
            matches.to_infrared, visible, people[Modality.VISIBLE], infrared, people[Modality.INFRARED]
        )
        print(json.dumps(line | {"mu": matches.mu, "right_matches": round(right, 3)}), flush=True)


if __name__ == "__main__":
    main()
