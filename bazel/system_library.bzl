# SPDX-License-Identifier: GPL-3.0-or-later
"""Repositories for libraries that Debian installs under /usr.

Bazel does not track headers and libraries in the system's directories. Each
such repository therefore records the versions of its Debian packages as
preprocessor definitions (`INSTALLED` in its installed.bzl), so that an upgrade
changes the command lines of all that uses the library, and rebuilds it.
"""

# Makes a repository rule run again when dpkg installs something.
DPKG_STATUS = attr.label(default = "@dpkg//:status", allow_single_file = True)

def run(repository_ctx, command, environment = {}):
    """Returns the output of `command`; fails with what it printed if it fails."""
    result = repository_ctx.execute(command, environment = environment)
    if result.return_code != 0:
        fail("@{name}: `{command}` failed; run tools/setup.\n{output}".format(
            name = repository_ctx.name,
            command = " ".join([str(word) for word in command]),
            output = result.stdout + result.stderr,
        ))
    return result.stdout

def installed_version(repository_ctx, package):
    """Returns the version of an installed Debian package."""
    return run(
        repository_ctx,
        ["dpkg-query", "--show", "--showformat=${Version}", package],
    )

def write_installed_bzl(repository_ctx, packages):
    """Writes installed.bzl with `INSTALLED`, the definitions of the versions."""
    defines = []
    for package in packages:
        name = package.upper().replace("+", "P").replace("-", "_").replace(".", "_")
        version = installed_version(repository_ctx, package)
        defines.append("{}_INSTALLED={}".format(name, version))
    repository_ctx.file("installed.bzl", "INSTALLED = {}\n".format(repr(defines)))

def _system_library_impl(repository_ctx):
    write_installed_bzl(repository_ctx, repository_ctx.attr.packages)
    for name, target in repository_ctx.attr.links.items():
        if not repository_ctx.path(target).exists:
            fail("@{}: {} is missing; run tools/setup.".format(
                repository_ctx.name,
                target,
            ))
        repository_ctx.symlink(target, name)
    repository_ctx.symlink(repository_ctx.attr.build_file, "BUILD.bazel")

system_library = repository_rule(
    implementation = _system_library_impl,
    attrs = {
        "build_file": attr.label(
            mandatory = True,
            allow_single_file = True,
            doc = "The repository's BUILD file.",
        ),
        "links": attr.string_dict(
            doc = "Files of the system that targets name: link to target.",
        ),
        "packages": attr.string_list(
            mandatory = True,
            doc = "Debian packages whose upgrade means a rebuild.",
        ),
        "_dpkg_status": DPKG_STATUS,
    },
    local = True,
)
