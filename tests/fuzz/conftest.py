"""Many examples are tried in any order, and their numbers are printed."""

import random


def pytest_collection_modifyitems(items):
    places = [place for place, item in enumerate(items) if item.get_closest_marker("fuzz")]
    fuzzed = [items[place] for place in places]
    random.shuffle(fuzzed)
    for place, item in zip(places, fuzzed, strict=True):
        items[place] = item


def pytest_terminal_summary(terminalreporter):
    for reports in terminalreporter.stats.values():
        for report in reports:
            for name, value in getattr(report, "user_properties", ()):
                if name == "fuzzed" and report.when == "call":
                    terminalreporter.write_line(value)
