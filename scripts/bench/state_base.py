"""Load and query times of StateBase and of Chroma over the same vectors (see the .sh).

    bash scripts/bench/state_base.sh --rows 60000 --dimension 256
"""

import json
import statistics
import subprocess
import tempfile
import time
from pathlib import Path

import numpy as np

from eval_agent.command_line import Parser
from eval_agent.files import write_json
from eval_agent.knowledge.state_base import StateBase, build_cache

VERBS = ["go", "open", "go", "take", "go", "close", "go", "put", "go", "look"]  # half of a real base is "go"
QUERIES = 40  # spread over the verbs as the base's rows are

# runs in Chroma's own environment: a collection made anew from documents, embeddings given, then filtered queries
CHROMA = """
import json, sys, time
import chromadb, numpy as np
vectors, verbs, n, queries = np.load(sys.argv[1]), json.load(open(sys.argv[2])), int(sys.argv[3]), int(sys.argv[4])
started = time.monotonic()
client = chromadb.EphemeralClient()
base = client.create_collection("base", metadata={"hnsw:space": "cosine"})
step = client.get_max_batch_size()
for start in range(0, len(vectors), step):
    part = range(start, min(start + step, len(vectors)))
    base.add(ids=[str(i) for i in part], embeddings=vectors[start:start + step], documents=[f"state {i}" for i in part],
             metadatas=[{"pre_action": verbs[i], "action": "go to shelf 1"} for i in part])
loaded = time.monotonic() - started
times = []
for i in range(queries):
    started = time.monotonic()
    found = base.query(query_embeddings=[vectors[i].tolist()], n_results=n, where={"pre_action": verbs[i]})
    times.append(time.monotonic() - started)
    assert len(found["ids"][0]) == n
print(json.dumps([loaded, times]))
"""


class RandomEncoder:
    """Stands for an encoder, whose own time is the same on both sides: text "state <row>" -> its vector."""

    identity = "random"

    def __init__(self, rows: int, dimension: int):
        vectors = np.random.default_rng(0).standard_normal((rows, dimension), dtype=np.float32)
        self.vectors = vectors / np.linalg.norm(vectors, axis=1, keepdims=True)

    def encode(self, texts: list[str]) -> np.ndarray:
        return self.vectors[[int(text.split()[-1]) for text in texts]]


def main() -> None:
    parser = Parser(__doc__)
    parser.add_argument("--rows", type=int, default=60000, help="triplets")
    parser.add_argument("--dimension", type=int, default=256, help="of the vectors")
    parser.add_argument("--n_neighbours", type=int, default=3000, help="N")
    parser.add_argument("--chroma_python", required=True, help="a Python that has chromadb")
    args = parser.parse_args()
    encoder = RandomEncoder(args.rows, args.dimension)
    verbs = [VERBS[row % len(VERBS)] for row in range(args.rows)]
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        triplets = [{"pre_action": f"{verb} x 1", "state": f"state {row}", "action": "go to shelf 1"}
                    for row, verb in enumerate(verbs)]
        write_json(folder / "triplets.json", triplets)
        build_cache(folder / "triplets.json", folder / "cache", encoder, None)
        load_s, times = _measure_ours(folder / "cache", encoder, args.n_neighbours, verbs)
        np.save(folder / "vectors.npy", encoder.vectors)
        write_json(folder / "verbs.json", verbs)
        command = [args.chroma_python, "-c", CHROMA, folder / "vectors.npy", folder / "verbs.json",
                   str(args.n_neighbours), str(QUERIES)]
        answer = subprocess.run(command, capture_output=True, text=True, check=True).stdout
    chroma_load_s, chroma_times = json.loads(answer.splitlines()[-1])
    chroma_query_s, _ = _typical(chroma_times, verbs)
    print(f"{args.rows} triplets, dimension {args.dimension}, N = {args.n_neighbours}")
    print(f"start: ours {load_s:.3f} s, Chroma rebuilt {chroma_load_s:.2f} s")
    query_s, largest_s = _typical(times, verbs)
    print(f"query ({QUERIES}, medians by verb): ours {1000 * query_s:.2f} ms ({1000 * largest_s:.2f} ms among the "
          f"{verbs.count('go')} rows of one verb), Chroma {1000 * chroma_query_s:.2f} ms")
    print(json.dumps({
        "load_s": round(load_s, 4), "query_ms": round(1000 * query_s, 3),
        "query_ms_largest_verb": round(1000 * largest_s, 3),
        "chroma_load_s": round(chroma_load_s, 3), "chroma_query_ms": round(1000 * chroma_query_s, 3),
        "ratio_load": round(chroma_load_s / load_s, 1), "ratio_query": round(chroma_query_s / query_s, 1),
    }))


def _typical(times: list[float], verbs: list[str]) -> tuple[float, float]:
    """Median time of the queries of each verb: their mean as often as the verbs occur, and that of "go"."""
    medians = {verb: statistics.median(t for t, v in zip(times, verbs) if v == verb) for verb in set(verbs)}
    return statistics.mean(medians[verb] for verb in verbs[: len(times)]), medians["go"]


def _measure_ours(cache: Path, encoder: RandomEncoder, n: int, verbs: list[str]) -> tuple[float, list[float]]:
    started = time.monotonic()
    state_base = StateBase.load(cache, encoder)
    load_s, times = time.monotonic() - started, []
    for row in range(QUERIES):
        started = time.monotonic()
        assert len(state_base.next_actions(f"state {row}", f"{verbs[row]} x 1", n)) == n
        times.append(time.monotonic() - started)
    return load_s, times


if __name__ == "__main__":
    main()
