"""Names that act on terminals, browsers, spreadsheets and formulas only show."""

import csv
import html.parser
import io
import json
import re
import sys
import warnings

import pytest
import torch
from optional import needs

import relustat
from relustat import History, Report, cli
from relustat._printable import printable
from relustat.analysis import (
    ActivationRates,
    GradientNorms,
    activation_patterns,
    hypercolumns,
    receptive_field,
    receptive_field_grid,
)
from relustat.functional import relu_stats
from relustat.report.call_site import CallSite
from relustat.stats.activation import Activation

NAMES = (
    "\x1b]0;title\x07\x1b[31m",
    "a\r\nb\u2028c",
    "\u202egnp.exe\u2066",
    "\ud800 half",
    "=cmd|' /C calc'!A0",
    "@SUM(1)",
    "+1",
    "-1",
    "\t=1",
    "\r=1",
    "'quoted",
    "a;=1",
    "</script><script>alert(1)</script><!--",
    "<b>&amp;\"'{{7*7}}",
    "$x^{$",
    "[bold]rich[/]",
    "_hidden",
    "ReLU\0",
)
HARMFUL = re.compile(
    "[\x00-\x09\x0b-\x1f\x7f-\x9f\u2028\u2029\u202a-\u202e\u2066-\u2069\ud800-\udfff]"
)


def counts(shift=0.0):
    return relu_stats(torch.linspace(-1, 1, 8).reshape(2, 4) + shift)[1]


def report(shift=0.0, names=NAMES):
    return Report(
        {name: counts(shift) for name in names},
        [f"{name}: never called" for name in names],
        {name: CallSite(name, name, (name,), f"dim of {name}") for name in names},
        {name: {names[0]: counts(shift)} for name in names},
    )


def history(names=NAMES):
    history = History()
    for epoch in range(3):
        history.add(epoch, {name: counts(epoch) for name in names})
    return history


def check_lines(text, names=NAMES):
    assert not HARMFUL.search(text)
    lines = text.split("\n")
    for name in names:
        assert any(line.startswith(printable(name)) for line in lines), name
    return lines


@pytest.mark.parametrize("encoding", ["utf-8", "latin-1", "ascii"])
def test_tables(monkeypatch, encoding):
    output = io.TextIOWrapper(io.BytesIO(), encoding=encoding)
    monkeypatch.setattr(sys, "stdout", output)
    with_history = history()
    for shown in (report(), report().compare(report(0.5), NAMES[:2]), with_history):
        print(shown)
        check_lines(str(shown))
    print(report()[NAMES[0]])
    print(report().compare(report(0.5))[NAMES[0]])
    output.flush()
    printed = output.buffer.getvalue().decode(encoding)
    blocks = set("▁▂▃▄▅▆▇█") & set(printed)
    assert bool(blocks) == (encoding == "utf-8")
    assert not HARMFUL.search(printed)


def test_a_table_of_a_report_has_a_line_for_each_warning_and_note():
    shown = report()
    lines = str(shown).split("\n")
    assert len(lines) == 2 + len(NAMES) + len(shown.warnings) + len(shown.notes)


def test_coloured_tables():
    console = needs("rich.console").Console(
        file=io.StringIO(), force_terminal=True, color_system=None, width=400
    )
    console.print(report())
    check_lines(console.file.getvalue())


def test_tables_of_analyses():
    model = torch.nn.Sequential()
    names = NAMES[0], NAMES[1], "$x^{$"
    for name in names:
        model.add_module(name, torch.nn.Sequential(torch.nn.Linear(2, 2), torch.nn.ReLU()))
    norms = GradientNorms(model)
    with ActivationRates(model) as rates:
        model(torch.ones(3, 2)).sum().backward()
        rates.snapshot(0)
    norms.record()
    check_lines(str(rates), names)
    check_lines(str(norms), names)
    check_lines(str(activation_patterns(model.eval(), [torch.ones(3, 2)])), names)
    check_lines(str(relustat.swapped(model)), names)
    layers = torch.nn.Sequential()
    layers.add_module(NAMES[0], torch.nn.Conv2d(1, 1, 1))
    columns = hypercolumns(layers.eval(), torch.zeros(1, 1, 4, 4), [NAMES[0]])
    assert not HARMFUL.search(repr(columns))


def drawn(figure, formulas):
    """Draws. No character is without a glyph; so many texts would have been formulas."""
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        figure.savefig(io.BytesIO(), format="png", dpi=20)
    texts = [getattr(each, "get_text", str)() for each in figure.findobj()]
    assert sum("$x^{$" in text or "n$" in text for text in texts) >= formulas


def texts_of(legend):
    return [text.get_text() for text in legend.get_texts()]


def test_pictures():
    needs("matplotlib")
    names = ["$x^{$", "_\x1b\n$"]
    shown = report(names=names)
    figure = shown.plot(other=report(0.5, names), names=names)
    drawn(figure, 1)
    assert texts_of(figure.legends[0]) == list(map(printable, names))
    drawn(shown[names[0]].plot_units(), 1)
    drawn(history(names).plot(), 2)


def test_pictures_of_analyses():
    needs("matplotlib")
    names = ["$x^{$", "_\x1b\n$"]
    model = torch.nn.Sequential()
    for name in names:
        model.add_module(name, torch.nn.Conv2d(1, 1, 3))
    norms = GradientNorms(model)
    with ActivationRates(model, outputs=False) as rates:
        model(torch.ones(1, 1, 8, 8)).sum().backward()
        rates.snapshot(0)
    norms.record()
    drawn(rates.plot(), 5)
    drawn(norms.plot(), 2)
    assert texts_of(norms.plot().legends[0]) == list(map(printable, names))
    model.eval()
    drawn(hypercolumns(model, torch.ones(1, 1, 8, 8), names).plot(), 2)
    field = receptive_field(model, names[1])
    drawn(field.plot(), 1)
    drawn(receptive_field_grid({names[1]: field}), 1)


class Page(html.parser.HTMLParser):
    """The texts, attributes and scripts of a page."""

    def __init__(self, text):
        super().__init__()
        self.texts, self.values, self.scripts = [], [], []
        self._in = ""
        self.feed(text)

    def handle_starttag(self, tag, attrs):
        self._in = dict(attrs).get("type", tag) if tag == "script" else tag
        self.values += [value for _, value in attrs if value]
        if tag == "script":
            self.scripts.append("")

    def handle_endtag(self, _):
        self._in = ""

    def handle_data(self, data):
        if self._in == "application/json":
            self.scripts[-1] += data
        elif self._in not in ("script", "style"):
            self.texts.append(data)


def test_pages(tmp_path):
    needs("jinja2")
    plain = Report({f"layer{index}": counts() for index in range(len(NAMES))})
    plain.to_html(tmp_path / "plain.html")
    scripts = len(Page((tmp_path / "plain.html").read_text()).scripts)
    shown = report()
    shown.history = history()
    shown.to_html(tmp_path / "a.html", title=NAMES[12] + NAMES[0])
    shown.to_html(tmp_path / "b.html", other=report(0.5), names=NAMES[:2], title=NAMES[3])
    for name in ("a.html", "b.html"):
        text = (tmp_path / name).read_text()
        page = Page(text)
        assert len(page.scripts) == scripts
        seen = [json.loads(script) for script in page.scripts if script]
        layers = {each["name"] for each in seen if isinstance(each, dict) and "sides" in each}
        assert layers == set(map(printable, NAMES))
        visible = "".join(page.texts) + "".join(page.values) + "".join(map(text_of, seen))
        assert not HARMFUL.search(visible)
        assert set(map(printable, NAMES)) <= {*page.texts, *page.values}


def text_of(value):
    """All texts in what JSON gave."""
    if isinstance(value, dict):
        return "".join(map(text_of, [*value, *value.values()]))
    if isinstance(value, list):
        return "".join(map(text_of, value))
    return value if isinstance(value, str) else ""


def test_notebooks(monkeypatch):
    needs("jinja2")
    for shown in (report(), report().compare(report(0.5), NAMES[:2])):
        page = Page(shown._repr_html_())
        assert not page.scripts
        assert not HARMFUL.search("".join(page.texts) + "".join(page.values))
        assert set(map(printable, NAMES)) <= set(page.texts)
    monkeypatch.setitem(sys.modules, "jinja2", None)
    relustat.report.page.page._environment.cache_clear()
    page = Page(report()._repr_html_())
    relustat.report.page.page._environment.cache_clear()
    assert not page.scripts
    check_lines("".join(page.texts).removeprefix("\n"))


def test_files_give_the_names_back(tmp_path):
    shown, counted = report(), history()
    shown.save(tmp_path / "a.npz")
    assert list(Report.load(tmp_path / "a.npz").stats) == list(NAMES)
    counted.save(tmp_path / "h.npz")
    assert History.load(tmp_path / "h.npz").call_sites == NAMES
    text = json.dumps(shown.to_dict())
    assert text.isascii()
    assert not HARMFUL.search(text)
    assert Report.from_dict(json.loads(text, parse_constant=pytest.fail)) == shown


def test_spreadsheets(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    report().save("a.npz")
    assert cli.main(["show", "a.npz", "--csv", "a.csv"]) == 0
    check_lines(capsys.readouterr().out)
    with open("a.csv", newline="", encoding="utf-8") as file:
        text = file.read()
    rows = list(csv.DictReader(io.StringIO(text)))
    assert not any(row[name].startswith(tuple("=+-@\t\r\n")) for row in rows for name in TEXTS)
    back = [row["call_site"].removeprefix("'") for row in rows]
    assert back == [name.encode("utf-8", "backslashreplace").decode() for name in NAMES]
    # A number is none of a spreadsheet's formulas, and stays one.
    assert {row["elements"] for row in rows} == {"8"}
    assert {float(row["min"]) for row in rows} == {report()[NAMES[0]].min}
    assert all(float(row["min"]) < 0 for row in rows)
    # Texts are in quotes, so another separator does not cut them.
    assert '"a;=1"' in text


TEXTS = ("call_site", "activation", "after", "histogram")


def test_errors_and_warnings(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    hostile = "\x1b[31mred\u202e\n"
    report(names=[hostile]).save("a.npz")
    report(names=["b\x1b"]).save("b.npz")
    (tmp_path / f"{hostile}.npz").write_text("no archive")
    (tmp_path / f"{hostile}.json").write_text('{"version": 1, "call_sites": {"\\u001b": 1}}')
    for arguments in (
        ["merge", "a.npz", "b.npz", "-o", "c.npz"],
        ["merge", f"{hostile}.npz", "-o", "c.npz"],
        ["merge", "a.npz", "a.npz", "-o", "c.npz"],
        ["show", f"{hostile}.npz"],
        ["show", f"{hostile}.json"],
        ["show", "a.npz", "--units", hostile[:-1]],
        ["show", "a.npz", "--csv", f"{hostile}/{hostile}.html"],
        ["show", "a.npz", "--debug", "--units", hostile[:-1]],
        ["analyze", f"{hostile}.py:{hostile}"],
    ):
        assert cli.main(arguments) == 2
        said = capsys.readouterr().err
        assert said
        assert not HARMFUL.search(said), arguments
        assert "--debug" in arguments or said.count("\n") == 1
    with pytest.raises(SystemExit):
        cli.main(["show", "a.npz", f"--{hostile}"])
    assert not HARMFUL.search(capsys.readouterr().err)
    assert cli.main(["merge", "a.npz", "-o", f"{hostile}c.npz"]) == 0
    assert capsys.readouterr().out.startswith(r"\x1b[31mred\u202e\nc.npz: 1 file")


def test_errors_of_python(tmp_path):
    hostile = "\x1b[31mred\u202e"
    (tmp_path / f"{hostile}.npz").write_text("no archive")
    activation = Activation(hostile, 0.0)
    state = {**counts().to_dict(), "activation": activation.to_dict()}
    other = relustat.ReLUStats.from_dict(state)
    history = History()
    history.add(0, {hostile: counts()})
    for fails in (
        lambda: Report.load(tmp_path / f"{hostile}.npz"),
        lambda: History.load(tmp_path / f"{hostile}.npz"),
        lambda: relustat.report.merge_files([tmp_path / f"{hostile}.npz"]),
        lambda: CallSite.from_dict(hostile, {"module": 1}),
        lambda: history.add(1, {hostile: other}),
        lambda: history.total("none"),
        lambda: report(names=[hostile])["none"],
        lambda: counts() + other,
        activation._replace(upper=-1.0).check,
    ):
        with pytest.raises((ValueError, KeyError)) as raised:
            fails()
        assert not HARMFUL.search(str(raised.value))
    assert not HARMFUL.search(repr(other + other))
