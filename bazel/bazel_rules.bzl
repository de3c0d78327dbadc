# SPDX-License-Identifier: GPL-3.0-or-later
"""Local stand-ins for two repositories that Bazel itself asks for.

Debian packages neither in a form that its Bazel 4.2.3 can load.
"""

_RULES_CC_NAMES = [
    "cc_binary",
    "cc_import",
    "cc_library",
    "cc_proto_library",
    "cc_test",
    "cc_toolchain",
    "cc_toolchain_suite",
]

def _rules_cc_native_impl(repository_ctx):
    repository_ctx.file("cc/BUILD.bazel", "")
    repository_ctx.file("cc/defs.bzl", "".join([
        "{name} = native.{name}\n".format(name = name)
        for name in _RULES_CC_NAMES
    ]))

rules_cc_native = repository_rule(
    implementation = _rules_cc_native_impl,
    doc = "@rules_cc, whose rules are Bazel's native ones.",
)

def _remote_coverage_tools_stub_impl(repository_ctx):
    repository_ctx.file("BUILD.bazel", """\
package(default_visibility = ["//visibility:public"])

filegroup(name = "coverage_report_generator")

filegroup(name = "lcov_merger")
""")

remote_coverage_tools_stub = repository_rule(
    implementation = _remote_coverage_tools_stub_impl,
    doc = "Empty @remote_coverage_tools: tests name it, only `bazel coverage` runs it.",
)
