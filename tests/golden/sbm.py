#!/usr/bin/env python3
"""sbm.py: description lengths of graph-tool for tests/test_sbm.c -> golden/sbm/*.txt

Debian: apt install python3-graph-tool (2.45), run with /usr/bin/python3. The neural network of C. elegans
("celegansneural" of graph-tool's collection: White et al. 1986, Watts and Strogatz 1998) is folded to an undirected
graph: weights of both directions are summed, loops dropped.

celegans.txt   nodes edges, then `from to weight` per edge
lengths.txt    one case per line: graph corrected(0|1) levels length, then `labels` of every level, each for the groups
               of the level below. Graphs: celegans, multi (written here too, with parallel edges and loops).
"""
import os

import graph_tool.all as gt
import numpy as np

HERE = os.path.join(os.path.dirname(os.path.abspath(__file__)), "sbm")


def folded():
    g = gt.collection.data["celegansneural"]
    w = {}
    for e in g.edges():
        i, j = int(e.source()), int(e.target())
        if i != j:
            w[min(i, j), max(i, j)] = w.get((min(i, j), max(i, j)), 0) + float(g.ep.value[e])
    return g.num_vertices(), [(i, j, x) for (i, j), x in sorted(w.items())]


def multigraph(rng):
    edges = []
    for _ in range(90):
        i, j = rng.integers(0, 20, 2)
        edges.append((int(i), int(j), float(np.round(rng.exponential(2) + 0.01, 3))))
    return 20, edges


def make(n, edges):
    g = gt.Graph(directed=False)
    g.add_vertex(n)
    w = g.new_ep("double")
    for i, j, x in edges:
        w[g.add_edge(i, j)] = x
    return g, w


def tree(rng, n, sizes):
    """Random labels per level, all groups in use."""
    levels, below = [], n
    for groups in sizes:
        b = np.concatenate([np.arange(groups), rng.integers(0, groups, below - groups)])
        rng.shuffle(b)
        levels.append(b)
        below = groups
    return levels


def length(g, w, levels, corrected):
    args = dict(deg_corr=bool(corrected), recs=[w], rec_types=["real-exponential"])
    if len(levels) == 1:
        return gt.BlockState(g, b=levels[0], **args).entropy()
    return gt.NestedBlockState(g, bs=levels, state_args=args).entropy()


def write(path, n, edges):
    with open(path, "w") as f:
        f.write(f"{n} {len(edges)}\n")
        f.writelines(f"{i} {j} {x:.17g}\n" for i, j, x in edges)


def main():
    rng = np.random.default_rng(13)
    graphs = {"celegans": folded(), "multi": multigraph(rng)}
    cases = []
    for name, (n, edges) in graphs.items():
        write(os.path.join(HERE, name + ".txt"), n, edges)
        g, w = make(n, edges)
        for sizes in ([1], [3], [7], [6, 1], [9, 3, 1], [8, 4, 2, 1], [7, 3], [12, 5, 2]):
            for corrected in (0, 1):
                levels = tree(rng, n, sizes)
                cases.append((name, corrected, levels, length(g, w, levels, corrected)))
    with open(os.path.join(HERE, "lengths.txt"), "w") as f:
        for name, corrected, levels, value in cases:
            f.write(f"{name} {corrected} {len(levels)} {value:.17g}\n")
            f.writelines(" ".join(map(str, b)) + "\n" for b in levels)
    print(gt.__version__, len(cases), "cases")


if __name__ == "__main__":
    main()
