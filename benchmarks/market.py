"""Methods at the size of Market-1501, on seeded embeddings, beside a yardstick taken in the same run.

    python -m benchmarks.market [--methods cosine k-reciprocal …] [--probes 3368 --images 19732 --width 2048]

The yardstick Y is an exact float32 top-100 of the whole set against itself, by blocked product and torch.topk.
"""

import argparse
import time

import numpy as np
import torch

from graphreid import memory
from graphreid.compiled import counting, jaccard, pairs
from graphreid.evaluation import evaluate
from graphreid.gallery import Gallery
from graphreid.storage import parse
from graphreid.types import Features, Labels

IMPORTED = (counting, jaccard, pairs)
IDENTITIES, CAMERAS = 750, 6


def some(rng: np.random.Generator, count: int, width: int, centres: np.ndarray, cameras: np.ndarray) -> tuple[Features, Labels]:
    """Images of the identities in cameras: a centre, a camera's bias, noise."""
    identity, camera = rng.integers(0, IDENTITIES, count), rng.integers(0, CAMERAS, count)
    vectors = centres[identity] + 0.6 * cameras[camera] + 3.4 * rng.standard_normal((count, width), np.float32)
    return Features(vectors, camera=camera), Labels(identity, camera)


def yardstick(vectors: np.ndarray) -> float:
    """Seconds of Y."""
    base = torch.nn.functional.normalize(torch.from_numpy(vectors), dim=1)
    start = time.perf_counter()
    for row in range(0, len(base), 2048):
        (base[row : row + 2048] @ base.T).topk(min(100, len(base)))
    return time.perf_counter() - start


def main() -> None:
    """Print Y, and each method's seconds (second of two runs), share of Y, evaluation seconds and peak memory."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--methods", nargs="+", default=["cosine", "k-reciprocal", "k-reciprocal:setting=online"])
    parser.add_argument("--probes", type=int, default=3368)
    parser.add_argument("--images", type=int, default=19732)
    parser.add_argument("--width", type=int, default=2048)
    given = parser.parse_args()
    base = memory.resident()
    rng = np.random.default_rng(0)
    centres = rng.standard_normal((IDENTITIES, given.width), np.float32)
    cameras = rng.standard_normal((CAMERAS, given.width), np.float32)
    (query, wanted), (images, found) = (
        some(rng, count, given.width, centres, cameras) for count in (given.probes, given.images)
    )
    unit = min(yardstick(np.concatenate([query.vectors, images.vectors])) for _ in range(2))
    print(f"Y {unit:.2f} s, {torch.get_num_threads()} threads")
    for name in given.methods:
        evaluate(parse(name), query, Gallery(images), wanted, found)  # the first run compiles
        memory.reset_peak()
        start = time.perf_counter()
        report = evaluate(parse(name), query, Gallery(images), wanted, found)
        judged = time.perf_counter() - start - report.seconds
        peak = (memory.peak() - base) / 2**20
        print(f"{name}: {report.seconds:.2f} s = {report.seconds / unit:.2f} Y, mAP {report.mean_ap():.3f}")
        print(f"    evaluation {judged:.2f} s, peak {peak:.0f} MB with the vectors")


if __name__ == "__main__":
    main()
