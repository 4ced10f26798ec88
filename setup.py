"""Builds the compiled modules: every .pyx below the three packages is one extension.

Metadata lives in pyproject.toml.  Settings, all optional, from the environment:

KEEPKV_ONLY=libvrrp,libkv/structures   build only what lies below these paths
KEEPKV_SANITIZE=address,undefined      build with gcc's sanitizers (or: thread)
KEEPKV_DEBUG=1                         no optimisation, entries move on every write
"""

import os
import sys
from pathlib import Path

if not sys.platform.startswith("linux"):
    sys.exit("keepkv runs on Linux only (it uses epoll, eventfd and netlink); this is " + sys.platform + ".")

from Cython.Build import cythonize
from setuptools import Extension, setup

ROOT = Path(__file__).resolve().parent
PACKAGES = ("libkv", "libvrrp", "libipvs")
JOBS = os.cpu_count() or 1

DIRECTIVES = {
    "language_level": 3,
    "boundscheck": False,
    "wraparound": False,
    "cdivision": True,
    "initializedcheck": False,
    "embedsignature": True,
}


def compiler_flags():
    """(compile, link, build directory) for the chosen kind of build."""
    sanitize = os.environ.get("KEEPKV_SANITIZE", "")
    flags = ["-std=gnu11", "-fno-strict-aliasing", "-fvisibility=hidden", "-Wall"]
    flags += ["-Wno-unused-function", "-Wno-unused-variable", "-Wno-unused-but-set-variable", "-Wno-sign-compare"]
    if sanitize:
        flags += ["-O1", "-g", "-fno-omit-frame-pointer", f"-fsanitize={sanitize}", "-DKEEPKV_SANITIZE"]
        return flags, [f"-fsanitize={sanitize}"], "build/cython-" + sanitize.replace(",", "-")
    if os.environ.get("KEEPKV_DEBUG"):
        return [*flags, "-O0", "-g", "-DKEEPKV_DEBUG"], [], "build/cython-debug"
    return [*flags, "-O3", "-g1"], [], "build/cython"


def sources():
    """Every .pyx that is to be built, as paths relative to the root."""
    only = tuple(filter(None, os.environ.get("KEEPKV_ONLY", "").split(",")))
    for package in PACKAGES:
        for path in sorted((ROOT / package).rglob("*.pyx")):
            relative = path.relative_to(ROOT).as_posix()
            if not only or relative.startswith(only):
                yield relative


def extensions():
    compile_flags, link_flags, build_dir = compiler_flags()
    modules = [
        Extension(
            source[: -len(".pyx")].replace("/", "."),
            [source],
            extra_compile_args=compile_flags,
            extra_link_args=link_flags,
        )
        for source in sources()
    ]
    if sys.argv[1:2] in (["sdist"], ["egg_info"], ["dist_info"]):
        return modules  # a source distribution and metadata need no C
    return cythonize(modules, build_dir=build_dir, nthreads=JOBS, compiler_directives=DIRECTIVES)


if __name__ == "__main__":
    setup(ext_modules=extensions(), options={"build_ext": {"parallel": JOBS}})
