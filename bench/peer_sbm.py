#!/usr/bin/env python3
"""peer_sbm.py GRAPH REPEAT: graph-tool's nested fits of the same weighted graph, plain and degree-corrected.

GRAPH: a first line `nodes edges`, then `from to weight`. graph-tool is a Debian package (python3-graph-tool): set
LINNET_PEER_PYTHON=/usr/bin/python3. Its shortest description is told on standard error.
"""
import sys
import warnings

from peer_common import answer, fastest

warnings.filterwarnings("ignore")


def main():
    path, repeat = sys.argv[1], int(sys.argv[2])
    try:
        import graph_tool.all as gt
    except ImportError:
        return answer([], ["graph-tool"])
    with open(path) as f:
        n, _ = map(int, f.readline().split())
        edges = [line.split() for line in f]
    g = gt.Graph(directed=False)
    g.add_vertex(n)
    w = g.new_ep("double")
    for i, j, x in edges:
        w[g.add_edge(int(i), int(j))] = float(x)
    best = {}

    def fit():
        for corrected in (False, True):
            s = gt.minimize_nested_blockmodel_dl(
                g, state_args=dict(deg_corr=corrected, recs=[w], rec_types=["real-exponential"]))
            best[corrected] = min(best.get(corrected, float("inf")), s.entropy())

    seconds = fastest(repeat, fit) / 2
    print(f"graph-tool: shortest description plain {best[False]:.1f}, corrected {best[True]:.1f}", file=sys.stderr)
    return answer([{"peer": "graph-tool", "version": gt.__version__, "rate": 1 / seconds}], [])


if __name__ == "__main__":
    main()
