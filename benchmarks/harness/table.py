"""The rows of a run as Markdown: one compact table for each part."""

HEAD = ("row", "ours", "rival", "ratio", "quartiles", "note")


def as_markdown(machine, rows):
    lines = [f"# {machine['machine']}, {machine['date']}", ""]
    lines += [f"* {name}: {machine[name]}" for name in machine if name not in ("machine", "date")]
    lines += [
        "",
        "Ratios are ours / rival: the median and the quartiles of rounds that time both in turn.",
    ]
    for part in dict.fromkeys(row["part"] for row in rows):
        lines += ["", f"## {part}", ""]
        lines += _aligned([HEAD, *(_cells(row) for row in rows if row["part"] == part)])
    return "\n".join(lines) + "\n"


def _cells(row):
    if "rival_bytes" in row:
        sizes = in_bytes(row["bytes"]), in_bytes(row["rival_bytes"])
        return (row["name"], *sizes, f"{row['ratio']:.3g}", "exact", row["note"])
    return (
        row["name"],
        in_seconds(row["seconds"]),
        in_seconds(row["rival_seconds"]),
        _ratio(row["ratio"]),
        f"{_ratio(row['low'])} .. {_ratio(row['high'])}",
        _bandwidth(row) if "bytes" in row else row["note"],
    )


def _bandwidth(row):
    ours, rival = (row["bytes"] / row[seconds] / 1e9 for seconds in ("seconds", "rival_seconds"))
    return f"{ours:.1f} GB/s, the {row['rival']} {rival:.1f}"


def _aligned(table):
    widths = [max(map(len, column)) for column in zip(*table, strict=True)]
    lines = ["| " + " | ".join(map(str.ljust, cells, widths)) + " |" for cells in table]
    rule = "|" + "|".join("-" * (width + 2) for width in widths) + "|"
    return [lines[0], rule, *lines[1:]]


def _ratio(ratio):
    return f"{ratio:.2f}" if 0.095 <= ratio < 9.95 else f"{ratio:.{3 if ratio > 1 else 2}g}"


def in_seconds(seconds):
    for unit, scale in (("s", 1), ("ms", 1e-3), ("us", 1e-6)):
        if seconds >= scale:
            return f"{seconds / scale:.3g} {unit}"
    return f"{seconds * 1e9:.3g} ns"


def in_bytes(count):
    for unit, scale in (("MB", 10**6), ("kB", 10**3)):
        if count >= scale:
            return f"{count / scale:.3g} {unit}"
    return f"{count} B"
