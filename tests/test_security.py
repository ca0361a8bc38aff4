"""What SECURITY.md promises of the package's own code: no network, and nothing run from data."""

import ast
import hashlib

import pytest
from repository import ROOT

SOURCES = sorted((ROOT / "relustat").rglob("*.py"))
# To reach a network, to start programs, or to read objects that run code.
FORBIDDEN_MODULES = {
    *("asyncio", "ftplib", "http", "imaplib", "poplib", "requests", "smtplib", "socket"),
    *("socketserver", "ssl", "telnetlib", "urllib", "webbrowser", "xmlrpc"),
    *("ctypes", "dill", "joblib", "marshal", "pickle", "runpy", "shelve", "subprocess", "yaml"),
}
FORBIDDEN_CALLS = {"eval", "exec", "__import__"}
FORBIDDEN_FUNCTIONS = {"os.system", "os.popen", "torch.hub.load", "torch.jit.load"}
REQUIRED = {"np.load": ("allow_pickle", False), "torch.load": ("weights_only", True)}


def imported(node):
    if isinstance(node, ast.Import):
        return [alias.name for alias in node.names]
    return [node.module] if isinstance(node, ast.ImportFrom) and not node.level else []


@pytest.mark.parametrize("path", SOURCES, ids=lambda path: str(path.relative_to(ROOT)))
def test_no_network_and_nothing_run_from_data(path):
    for node in ast.walk(ast.parse(path.read_text())):
        modules = {name.partition(".")[0] for name in imported(node)}
        assert not modules & FORBIDDEN_MODULES
        if not isinstance(node, ast.Call):
            continue
        function = ast.unparse(node.func)
        assert function not in FORBIDDEN_CALLS | FORBIDDEN_FUNCTIONS
        if function in REQUIRED:
            name, value = REQUIRED[function]
            given = {keyword.arg: keyword.value for keyword in node.keywords}
            assert ast.literal_eval(given[name]) is value, f"{function} at line {node.lineno}"


def test_what_is_looked_for_is_found():
    calls = [ast.unparse(node.func) for path in SOURCES for node in calls_in(path)]
    assert set(REQUIRED) <= set(calls)


def calls_in(path):
    return [node for node in ast.walk(ast.parse(path.read_text())) if isinstance(node, ast.Call)]


def test_libraries_in_pages_are_those_whose_hashes_are_written_down():
    folder = ROOT / "relustat/report/page/vendor"
    written = (folder / "README.md").read_text()
    scripts = sorted(folder.glob("*.js"))
    assert [path.name for path in scripts] == ["d3.min.js", "plot.umd.min.js"]
    for path in scripts:
        assert hashlib.sha256(path.read_bytes()).hexdigest() in written
