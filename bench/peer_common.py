"""What the peer scripts share: fastest of n, and the one JSON object that `linnet bench --peer` reads."""
import json
import time


def fastest(n, run):
    """Seconds of the fastest of n runs, after one to warm up."""
    run()
    best = float("inf")
    for _ in range(n):
        start = time.perf_counter()
        run()
        best = min(best, time.perf_counter() - start)
    return best


def answer(peers, missing):
    print(json.dumps({"peers": peers, "missing": missing}))
