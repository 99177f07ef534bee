"""BIT's pair network: tiles against repeated tokens, memory, bf16 against fp32, share of a matrix product.

    python bench/bench_pairs.py [--size nano|base] [--queries 8] [--gallery 32] [--repeat 5] [--device cpu]

One JSON line per figure, all sides in one run, median of `repeat`. Weights and tokens are random: nano is that of
`bit-demo` (72 patches of 128 channels, one block), base that of `bit-sysu` (210 of 768, three blocks).

- `tiled`: the matcher, first-block projections once a picture, few pairs at a time. `naive`: tokens repeated for every
  pair, all pairs at once. Same precision; logits that differ by more than 1e-3 end the run.
- `memory`: MiB that a call takes beyond its inputs, for `pairs` and for four times as many.
- `bf16`: seconds of both precisions; rank agreement is Spearman's correlation within every query, averaged, and the
  share of queries with the same best.
- `share`: the network's FLOP/s (from 24 T N C^2 + (4 T + 1) N^2 C products a pair) divided by those of a large matrix
  product on the same device in the same precision.
"""

import argparse
import json
import os
import threading
import time
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from timing import median
from vireid.methods.bit.matcher import PairMatcher
from vireid.networks.cross_interaction import CrossInteraction
from vireid.networks.pair_network import PairNetwork, PatchScoring
from vireid.types import Embeddings, Modality

SIZES = {"nano": (72, 128, 4, 1), "base": (210, 768, 12, 3)}  # patches, channels, heads, blocks
PRODUCT = {"cpu": 2048, "cuda": 16384}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--size", choices=SIZES, default="nano")
    parser.add_argument("--queries", type=int, default=8)
    parser.add_argument("--gallery", type=int, default=32)
    parser.add_argument("--repeat", type=int, default=5)
    parser.add_argument("--device", choices=PRODUCT, default="cpu")
    parser.add_argument("--threads", type=int, default=len(os.sched_getaffinity(0)))
    given = parser.parse_args()
    torch.set_num_threads(given.threads)
    common = {"size": given.size, "device": given.device, "threads": given.threads}
    network = build(given.size, given.device)
    sides = draw(given.queries, 0, given), draw(given.gallery, 1, given)
    for bench in (against_naive, memory, precision, share):
        for line in bench(network, sides, given):
            print(json.dumps({**line, **common}), flush=True)


def against_naive(network: PairNetwork, sides: Any, given: argparse.Namespace) -> list[dict[str, Any]]:
    matcher = PairMatcher(network, bf16=False)
    seconds, found = median(synchronised(lambda: matcher.score(*sides), given.device), given.repeat)
    reference, expected = median(synchronised(lambda: naive(network, *sides), given.device), given.repeat)
    difference = float((found - expected).abs().max())
    if difference > 1e-3:
        raise SystemExit(f"tiles differ from repeated tokens by {difference}")
    pairs = found.numel()
    line = {"name": "tiled against naive", "pairs": pairs, "seconds": round(seconds, 4)}
    line |= {"naive_seconds": round(reference, 4), "ratio": round(reference / seconds, 2)}
    return [line | {"milliseconds_a_pair": round(1000 * seconds / pairs, 4), "difference": float(f"{difference:.1e}")}]


def memory(network: PairNetwork, sides: Any, given: argparse.Namespace) -> list[dict[str, Any]]:
    matcher, lines = PairMatcher(network, bf16=False), []
    for times in (1, 4):
        query, gallery = sides[0], more(sides[1], times)
        tiled = peak(lambda q=query, g=gallery: matcher.score(q, g), given.device)
        repeated = peak(lambda q=query, g=gallery: naive(network, q, g), given.device)
        pairs = len(query) * len(gallery)
        lines.append({"name": "memory", "pairs": pairs, "tiled_mib": tiled, "naive_mib": repeated})
    return lines


def precision(network: PairNetwork, sides: Any, given: argparse.Namespace) -> list[dict[str, Any]]:
    matchers = [PairMatcher(network, bf16=bf16) for bf16 in (False, True)]
    (exact_seconds, exact), (seconds, half) = (
        median(synchronised(lambda m=matcher: m.score(*sides), given.device), given.repeat) for matcher in matchers
    )
    ranks = [found.argsort(dim=1).argsort(dim=1).double() for found in (exact, half)]
    first, second = (rank - rank.mean(dim=1, keepdim=True) for rank in ranks)
    spearman = (first * second).sum(dim=1) / (first.norm(dim=1) * second.norm(dim=1))
    same = (exact.argmax(dim=1) == half.argmax(dim=1)).double().mean()
    line = {"name": "bf16 against fp32", "fp32_seconds": round(exact_seconds, 4), "bf16_seconds": round(seconds, 4)}
    line |= {"ratio": round(exact_seconds / seconds, 2), "rank_agreement": round(float(spearman.mean()), 5)}
    return [
        line | {"same_best": round(float(same), 4), "difference": float(f"{float((exact - half).abs().max()):.1e}")}
    ]


def share(network: PairNetwork, sides: Any, given: argparse.Namespace) -> list[dict[str, Any]]:
    patches, channels, _, blocks = SIZES[given.size]
    products = 24 * blocks * patches * channels**2 + (4 * blocks + 1) * patches**2 * channels
    lines = []
    for bf16 in (False, True):
        matcher = PairMatcher(network, bf16=bf16)
        seconds, found = median(synchronised(lambda m=matcher: m.score(*sides), given.device), given.repeat)
        reached = 2 * products * found.numel() / seconds
        side = PRODUCT[given.device]
        matrix = torch.randn(side, side, device=given.device, dtype=torch.bfloat16 if bf16 else torch.float32)
        whole, _ = median(synchronised(lambda m=matrix: m @ m, given.device), given.repeat)
        possible = 2 * side**3 / whole
        line = {"name": "share", "precision": "bf16" if bf16 else "fp32", "gflops": round(reached / 1e9, 1)}
        lines.append(line | {"matrix_gflops": round(possible / 1e9, 1), "share": round(reached / possible, 3)})
    return lines


def build(size: str, device: str) -> PairNetwork:
    patches, channels, heads, blocks = SIZES[size]
    torch.manual_seed(0)
    interaction = CrossInteraction(channels, heads=heads, blocks=blocks)
    return PairNetwork(interaction, channels=channels, patches=patches, scoring=PatchScoring()).to(device).eval()


def draw(count: int, number: int, given: argparse.Namespace) -> Embeddings[Tensor]:
    """Infrared queries and visible gallery pictures, kept in half precision as galleries keep them."""
    patches, channels, _, _ = SIZES[given.size]
    generator = torch.Generator().manual_seed(number)
    tokens = torch.randn(count, patches, channels, generator=generator).half().to(given.device)
    visible = torch.full((count,), number == 1, device=given.device)
    return Embeddings(
        torch.nn.functional.normalize(tokens.float().mean(1), dim=1), {"tokens": tokens, "visible": visible}
    )


def more(side: Embeddings[Tensor], times: int) -> Embeddings[Tensor]:
    return side[torch.arange(len(side), device=side.vector.device).repeat(times)]


@torch.inference_mode()
def naive(network: PairNetwork, query: Embeddings[Tensor], gallery: Embeddings[Tensor]) -> Tensor:
    """Every pair has tokens of its own from the beginning; all pairs at once."""
    infrared = query.fields["tokens"].float().repeat_interleave(len(gallery), dim=0)
    visible = gallery.fields["tokens"].float().repeat(len(query), 1, 1)
    sides = network.prepare(visible, Modality.VISIBLE), network.prepare(infrared, Modality.INFRARED)
    return network(*sides).logits.view(len(query), len(gallery))


def synchronised(work: Any, device: str) -> Any:
    """The work, timed to its end on an accelerator too."""

    def whole() -> Any:
        found = work()
        if device == "cuda":
            torch.cuda.synchronize()
        return found

    return whole


def peak(work: Any, device: str) -> int:
    """MiB held at most, beyond what was held before: CUDA's own count, or the process's resident memory."""
    if device == "cuda":
        torch.cuda.reset_peak_memory_stats()
        before = torch.cuda.memory_allocated()
        work()
        return round((torch.cuda.max_memory_allocated() - before) / 2**20)
    work()  # so that the allocator's pools are as large as it wants them
    before, most, done = resident(), [0], threading.Event()

    def watch() -> None:
        while not done.is_set():
            most[0] = max(most[0], resident())
            time.sleep(0.0005)

    watcher = threading.Thread(target=watch)
    watcher.start()
    work()
    done.set()
    watcher.join()
    return round(max(0, most[0] - before) / 2**20)


def resident() -> int:
    return int(Path("/proc/self/statm").read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE")


if __name__ == "__main__":
    main()
