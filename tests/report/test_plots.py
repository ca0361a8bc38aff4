import re

import pytest
from reports import silence, small_model, stats_of, watched

from relustat import Report


@pytest.fixture(scope="module")
def report():
    model = small_model()
    silence(model[5], [0, 3])
    return watched(model, unit_histograms=True)


def titles(figure):
    return [axes.get_title() for axes in figure.axes]


def test_only_some_call_sites(report):
    assert [
        title.split(":")[0] for title in titles(report.plot(only=["1", re.compile("^6$")]))
    ] == [
        "1",
        "6",
    ]
    with pytest.raises(
        ValueError, match=r"plot: only must fit a call site, got 'x\*'; there are 1"
    ):
        report.plot(only="x*")
    with pytest.raises(TypeError, match=r"plot: only must be a glob, .* got 3"):
        report.plot(only=3)


def test_two_reports_in_one_picture(report):
    other = Report({"1": stats_of([[1.0, -1.0]]), "extra": stats_of([[1.0, -2.0, 0.5]])})
    figure = report.plot(other=other, names=("old", "new"))
    assert titles(figure)[0] == f"1: {100 * report['1'].zero_fraction:.1f} and 50.0 % zero"
    assert titles(figure)[1].endswith("% zero, only in old")
    assert titles(figure)[-1] == "extra: 33.3 % zero, only in new"
    assert [text.get_text() for text in figure.legends[0].get_texts()] == ["old", "new"]
    with pytest.raises(TypeError, match="plot: other must be a Report, got int"):
        report.plot(other=3)


def test_names_are_no_formulas(report, tmp_path):
    odd = Report({r"$\foo$": report.stats["1"]})
    odd.plot(other=odd, names=(r"$\a$", "$b")).savefig(tmp_path / "grid.png")
    odd[r"$\foo$"].plot_units().savefig(tmp_path / "units.png")


def test_into_axes_of_the_user(report):
    from matplotlib.figure import Figure

    figure = Figure()
    axes = figure.subplots(1, 2)
    assert report.plot(only="1", ax=axes[1]) is figure
    assert titles(figure) == ["", f"1: {100 * report['1'].zero_fraction:.1f} % zero"]
    with pytest.raises(
        ValueError, match="plot: ax takes one call site, got 3; choose one by only=, of 1, 3, 6"
    ):
        report.plot(ax=axes[0])
    assert titles(figure)[0] == ""


def test_a_notebook_shows_figures_without_pyplot(report):
    for figure in (report.plot(), report["6"].plot_units()):
        assert figure._repr_png_().startswith(b"\x89PNG")


def test_figures_can_be_pickled(report):
    import pickle

    figure = pickle.loads(pickle.dumps(report.plot()))
    assert len(figure.axes) == 3
    assert figure._repr_png_().startswith(b"\x89PNG")


def test_units_are_drawn_one_by_one(report):
    figure = report["6"].plot_units()
    strip, frequencies, histograms = (
        axes for axes in figure.axes if axes.get_label() != "<colorbar>"
    )
    (marks,) = strip.lines
    # 20 units, 8 in a line.
    assert marks.get_xydata().tolist() == [[0, 0], [3, 0]]
    assert strip.get_title() == "dead now (x): 2 of 20"
    (never,) = frequencies.patches[-1:]
    assert never.get_height() == 2
    assert histograms.get_ylabel() == "unit"
    assert histograms.get_ylim() == (20, 0)


def test_units_of_several_widths_have_rows_of_their_own():
    both = stats_of([[1.0, -1.0]]) + stats_of([[1.0, 2.0, -1.0]])
    figure = Report({"a": both})["a"].plot_units()
    assert [title for title in titles(figure) if title] == [
        "dead now (x): 1 of 2",
        "dead now (x): 1 of 3",
    ]
    Report({"a": both})["a"].plot_units().savefig("/dev/null", format="png")
