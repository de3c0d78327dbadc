# SPDX-License-Identifier: GPL-3.0-or-later
"""@kamailio: Kamailio's headers, and the flags that the server was built with.

Debian has no -dev package for them, so they come from a source tree: the one
that the environment variable KAMAILIO_SOURCE names, else the one that
tools/setup puts into the user's cache for the installed version.

A target that includes Kamailio's headers depends on `@kamailio//:headers` and
compiles with `KAMAILIO_COPTS` of `@kamailio//:copts.bzl`. These are copts, not
defines: with names such as VERSION they must not reach any other code.
"""

load(
    ":system_library.bzl",
    "DPKG_STATUS",
    "installed_version",
    "run",
)

_BUILD = """\
package(default_visibility = ["//visibility:public"])

cc_library(
    name = "headers",
    hdrs = glob(
        [
            "src/core/**/*.h",
            "src/lib/**/*.h",
            "src/modules/**/*.h",
        ],
        exclude = ["src/modules/mqtt/**"],
    ),
    includes = ["src"],
)
"""

# A module of Kamailio's own, small and always there: what its build passes to
# the compiler is what every module needs.
_SAMPLE_MODULE = "pv"

def _is_source_folder(repository_ctx, folder):
    return repository_ctx.path(folder + "/core/sr_module.h").exists

def _source_folder(repository_ctx):
    environment = repository_ctx.os.environ
    chosen = environment.get("KAMAILIO_SOURCE", "")
    if chosen:
        folder = chosen + "/src"
        if not _is_source_folder(repository_ctx, folder):
            fail("KAMAILIO_SOURCE={} is not Kamailio's source tree.".format(chosen))
        return folder
    cache = environment.get("XDG_CACHE_HOME", "")
    if not cache:
        cache = environment.get("HOME", "") + "/.cache"
    folder = "{}/kamailio-mqtt/kamailio-{}/src".format(
        cache,
        installed_version(repository_ctx, repository_ctx.attr.packages[0]),
    )
    if not _is_source_folder(repository_ctx, folder):
        fail(("Kamailio's sources are not in {}: run tools/setup, " +
              "or set KAMAILIO_SOURCE to a source tree.").format(folder))
    return folder

def _definitions(make_output):
    """Returns the -D options, with their shell quotes, of a compiler command."""
    commands = [
        line
        for line in make_output.split("\n")
        if " -c " in line and "-DMOD_NAME=" in line
    ]
    if not commands:
        fail("Kamailio's build printed no compiler command:\n" + make_output)
    definitions = []
    for word in commands[0].split(" -D")[1:]:
        if "'" in word:
            word = word[:word.rindex("'") + 1]
        else:
            word = word.split(" ")[0]
        if word != "PIC" and not word.startswith("MOD_NAME="):
            definitions.append("-D" + word)
    return definitions

def _as_installed(repository_ctx, definitions):
    """Returns the definitions with what the installed server says of itself.

    Debian builds Kamailio 6.1 with CMake, which does not choose quite what
    `make` does, and Kamailio refuses modules that were built in another way.
    """
    server = repository_ctx.which("kamailio") or repository_ctx.path("/usr/sbin/kamailio")
    if not server.exists:
        return definitions
    lines = run(repository_ctx, [server, "-V"]).split("\n")

    # "version: kamailio 6.1.5 (x86_64/Linux)"
    words = lines[0].split(" ")
    if "-DVERSION='\"{}\"'".format(words[2]) not in definitions:
        return definitions
    system = words[3].strip("()").split("/")[1]
    dropped = ["-DOS_QUOTED="]
    if "FAST_LOCK" not in lines[1]:
        dropped += ["-DFAST_LOCK", "-DADAPTIVE_WAIT"]
    return [
        definition
        for definition in definitions
        if not any([definition.startswith(name) for name in dropped])
    ] + ["-DOS_QUOTED='\"{}\"'".format(system)]

def _kamailio_repository_impl(repository_ctx):
    # Links to each file, in folders of our own: `make cfg` writes files, and
    # the tree may be a person's.
    run(repository_ctx, [
        "cp",
        "--recursive",
        "--symbolic-link",
        _source_folder(repository_ctx),
        "src",
    ])
    if not repository_ctx.path("src/config.mak").exists:
        run(repository_ctx, ["make", "-C", "src", "cfg"])
    make_output = run(repository_ctx, [
        "make",
        "--dry-run",
        "--always-make",
        "-C",
        "src",
        "modules",
        "modules=modules/" + _SAMPLE_MODULE,
    ])
    repository_ctx.file("copts.bzl", "KAMAILIO_COPTS = {}\n".format(
        repr(_as_installed(repository_ctx, _definitions(make_output))),
    ))
    repository_ctx.file("BUILD.bazel", _BUILD)

kamailio_repository = repository_rule(
    implementation = _kamailio_repository_impl,
    attrs = {
        "packages": attr.string_list(
            mandatory = True,
            doc = "The Debian package of the server, whose version the sources have.",
        ),
        "_dpkg_status": DPKG_STATUS,
    },
    environ = [
        "HOME",
        "KAMAILIO_SOURCE",
        "XDG_CACHE_HOME",
    ],
    local = True,
)
