"""One figure of the benchmarks' results in each module: draw(rows) returns it, or None."""
