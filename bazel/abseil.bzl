# SPDX-License-Identifier: GPL-3.0-or-later
"""@com_google_absl from Debian's package, with Abseil's own target names."""

load(":system_library.bzl", "DPKG_STATUS", "run", "write_installed_bzl")

# Package -> target -> pkg-config name without its "absl_".
_TARGETS = {
    "algorithm": {
        "algorithm": "algorithm",
        "container": "algorithm_container",
    },
    "base": {
        "base": "base",
        "config": "config",
        "core_headers": "core_headers",
        "endian": "endian",
    },
    "cleanup": {
        "cleanup": "cleanup",
    },
    "container": {
        "btree": "btree",
        "fixed_array": "fixed_array",
        "flat_hash_map": "flat_hash_map",
        "flat_hash_set": "flat_hash_set",
        "inlined_vector": "inlined_vector",
        "node_hash_map": "node_hash_map",
        "node_hash_set": "node_hash_set",
    },
    "functional": {
        "any_invocable": "any_invocable",
        "bind_front": "bind_front",
        "function_ref": "function_ref",
    },
    "hash": {
        "hash": "hash",
    },
    "memory": {
        "memory": "memory",
    },
    "meta": {
        "type_traits": "type_traits",
    },
    "numeric": {
        "bits": "bits",
        "int128": "int128",
    },
    "random": {
        "bit_gen_ref": "random_bit_gen_ref",
        "distributions": "random_distributions",
        "random": "random_random",
        "seed_sequences": "random_seed_sequences",
    },
    "status": {
        "status": "status",
        "statusor": "statusor",
    },
    "strings": {
        "cord": "cord",
        "str_format": "str_format",
        "strings": "strings",
    },
    "synchronization": {
        "synchronization": "synchronization",
    },
    "time": {
        "time": "time",
    },
    "types": {
        "any": "any",
        "compare": "compare",
        "optional": "optional",
        "span": "span",
        "variant": "variant",
    },
    "utility": {
        "utility": "utility",
    },
}

_LIBRARY = """
cc_library(
    name = "{name}",
    defines = INSTALLED,
    linkopts = {linkopts},
)
"""

def _abseil_repository_impl(repository_ctx):
    write_installed_bzl(repository_ctx, repository_ctx.attr.packages)
    repository_ctx.file("BUILD.bazel", "")
    for package, targets in _TARGETS.items():
        build = """\
load("//:installed.bzl", "INSTALLED")

package(default_visibility = ["//visibility:public"])
"""
        for name, module in targets.items():
            output = run(
                repository_ctx,
                ["pkg-config", "--libs-only-l", "absl_" + module],
            )
            libraries = [word for word in output.strip().split(" ") if word]
            linkopts = []
            if libraries:
                linkopts = ["-Wl,--push-state,--as-needed"] + \
                           libraries + ["-Wl,--pop-state"]
            build += _LIBRARY.format(name = name, linkopts = repr(linkopts))
        repository_ctx.file("absl/{}/BUILD.bazel".format(package), build)

abseil_repository = repository_rule(
    implementation = _abseil_repository_impl,
    attrs = {
        "packages": attr.string_list(
            mandatory = True,
            doc = "Debian packages whose upgrade means a rebuild.",
        ),
        "_dpkg_status": DPKG_STATUS,
    },
    local = True,
)
