"""Which tests run with sanitizers; the tools themselves run by `make asan-extension`."""

import pytest
import sanitized_tests


@pytest.mark.parametrize("sanitizer", sanitized_tests.TESTS)
def test_what_is_run_is_there(sanitizer):
    assert sanitizer in sanitized_tests.COMPILED
    for name in sanitized_tests.TESTS[sanitizer]:
        assert (sanitized_tests.ROOT / name).is_file()
