# SPDX-License-Identifier: GPL-3.0-or-later
"""Python tests that Debian's pytest runs."""

def pytest_test(name, srcs, deps = [], data = [], **kwargs):
    """A py_test that runs pytest on its sources.

    It fails if a test fails, if one is skipped, and if there is none.

    Args:
      name: the test.
      srcs: the files with tests.
      deps: py_library targets; one that holds a conftest.py also.
      data: files that the tests read.
      **kwargs: passed to py_test.
    """
    native.py_test(
        name = name,
        srcs = srcs + ["//bazel:pytest_main.py"],
        args = ["$(location {})".format(source) for source in srcs],
        data = data,
        main = "//bazel:pytest_main.py",
        deps = deps,
        **kwargs
    )
