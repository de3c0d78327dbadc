# SPDX-License-Identifier: GPL-3.0-or-later
"""Fuzz targets that are ordinary tests as well."""

def cc_fuzz_target(name, srcs, deps, corpus = [], **kwargs):
    """A test of a LLVMFuzzerTestOneInput function.

    `bazel test` runs it on each file of the corpus, and on a fixed number of
    pseudo-random mutations of them, the same in each run. To look for new
    inputs with libFuzzer:

        bazel build --config=fuzz //mqtt_core:topic_fuzz_test
        bazel-bin/mqtt_core/topic_fuzz_test -max_total_time=60 CORPUS_FOLDER

    Args:
      name: the test.
      srcs: the sources with the function.
      deps: the libraries under test.
      corpus: the files to start from.
      **kwargs: passed to cc_test.
    """
    native.cc_test(
        name = name,
        srcs = srcs,
        args = ["$(location {})".format(file) for file in corpus],
        data = corpus,
        linkopts = select({
            "//bazel:libfuzzer": ["-fsanitize=fuzzer"],
            "//conditions:default": [],
        }),
        deps = deps + select({
            "//bazel:libfuzzer": [],
            "//conditions:default": ["//bazel:fuzz_replay"],
        }),
        **kwargs
    )
