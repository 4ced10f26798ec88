"""Makes one extension of libkv's core: all its modules as one translation unit, where gcc can inline everything.

    python -m benchmarks.kv.one_unit [FOLDER]        writes core.pxd and core.pyx, and builds core.so there

The names of the core are unique by convention, so its sources can be joined, each part behind what it cimports:

    core.pxd    the .pxd files            without cimports from libkv
    core.pyx    the .pyx files            without cimports from libkv; what is private to a module and called the same
                                          in two of them gets the module's name in front
"""

from __future__ import annotations

import os
import re
import subprocess
import sys
from collections.abc import Iterable
from graphlib import TopologicalSorter
from pathlib import Path

from benchmarks.kv.subjects import ROOT

FOLDER = ROOT / "build" / "one_unit"
PARTS = ("libkv/structures", "libkv/disk", "libkv/engine", "libkv/persistence", "libkv/scripting", "libkv/commands")
LAST = "libkv.testing.native.feed"
NAME = "libkv_core"

CIMPORT = re.compile(r"^from (libkv[\w.]*) cimport (\((?:[^)]*)\)|[^\n]*)\n", re.M)
#: the sign of a module that is Python's side of a store, and no part of the core
TAKES_STORE = re.compile(r"^from libkv\.store cimport", re.M)
#: what may stand where a name does
WORDS = {"enum", "struct", "union", "extern", "nogil", "bint", "int", "char", "void", "double", "long", "unsigned"}
#: what a line at the margin, or in an extern block, gives a name to
DEFINED = re.compile(
    r"^(?:cdef|cpdef|def|class|ctypedef)\b(?!.*\bextern\b)[^\n(=:]*?(\w+)\s*(?:\[[^\]]*\])*\s*(?:\(|=|:|$|#)", re.M
)
ASSIGNED = re.compile(r"^(\w+)\s*(?::[^=\n]*)?=[^=]", re.M)
MANY = re.compile(r"^cdef [\w* ]+?[ *](\w+(?:\s*,\s*\w+)+)\s*(?:#|$)", re.M)
ENUM = re.compile(r"^cdef enum[^\n]*:\n((?:[ \t]+[^\n]*\n|\n)+)", re.M)
EXTERN = re.compile(r"^cdef extern[^\n]*:\n((?:[ \t]+[^\n]*\n|\n)+)", re.M)
STRUCT = re.compile(r"^cdef (?:packed )?(?:struct|union)[^\n]*:[^\n]*\n((?:[ \t]+[^\n]*\n|\n)+)", re.M)
EXTERN_STRUCT = re.compile(
    r"^([ \t]+)((?:cdef |ctypedef )?(?:struct|union) [^\n]*:)[^\n]*\n((?:\1[ \t]+[^\n]*\n)+)", re.M
)
FIELD = re.compile(r"([ \t]+[\w* ]+[ *])(\w+)(\s*(?:\[[^\]]*\]\s*)*(?:#[^\n]*)?\n)")
POINTER = re.compile(r"^ctypedef [^\n(]*\(\*(\w+)\)", re.M)


def modules() -> dict[str, Path]:
    """Module name -> its path without a suffix, of all parts."""
    found = {}
    for part in PARTS:
        for path in sorted((ROOT / part).glob("*.p*")):
            if path.suffix in (".pxd", ".pyx") and path.stem != "__init__":
                name = ".".join(path.with_suffix("").relative_to(ROOT).parts)
                if not TAKES_STORE.search(read(path.with_suffix(""), ".pyx")):
                    found[name] = path.with_suffix("")
    found[LAST] = ROOT / Path(*LAST.split("."))
    return found


def read(path: Path, suffix: str) -> str:
    file = path.with_suffix(suffix)
    return file.read_text() if file.exists() else ""


def ordered(found: dict[str, Path]) -> list[str]:
    """The modules, each behind those that its .pxd cimports.  (The .pyx files stay in their order, that of the layers:
    they need no more of each other than the declarations.)"""
    graph = {}
    for name, path in found.items():
        needed = {m[1] for m in CIMPORT.finditer(read(path, ".pxd"))}
        graph[name] = needed & set(found) - {name}
    return list(TopologicalSorter(graph).static_order())


def defined(text: str) -> set[str]:
    """The names that a module's text defines at its top level."""
    names = {m[1] for m in DEFINED.finditer(text)} | {m[1] for m in ASSIGNED.finditer(text)}
    names |= {m[1] for m in POINTER.finditer(text)}
    for m in MANY.finditer(text):
        names |= {n.strip() for n in m[1].split(",")}
    for m in ENUM.finditer(text):
        names |= set(re.findall(r"^[ \t]+([A-Za-z_]\w*)\s*(?:=|#|$)", m[1], re.M))
    return names - WORDS


def declared(pxd: str) -> set[str]:
    """The names that a .pxd offers."""
    code = re.sub(r"#[^\n]*", "", pxd)
    return defined(code) | set(re.findall(r"(\w+)\(", code))


def renamed(text: str, names: dict[str, str]) -> str:
    """Every use of these names as whole words, but not behind a dot, in a string or as a keyword argument's name."""
    if not names:
        return text
    words = "|".join(map(re.escape, sorted(names)))
    pattern = re.compile(
        r"\"\"\"[\s\S]*?\"\"\"|b?\"(?:[^\"\\\n]|\\.)*\"|b?'(?:[^'\\\n]|\\.)*'|#[^\n]*|(?<![\w.])(" + words + r")\b"
    )

    def rename(part: str) -> str:
        return pattern.sub(lambda m: names[m[1]] if m[1] else m[0], part)

    done = []
    at = 0
    for struct in STRUCT.finditer(text):
        done.append(rename(text[at : struct.start(1)]))
        # fields have a namespace of their own: only their types and sizes are the module's names
        for field in struct[1].splitlines(keepends=True):
            m = FIELD.fullmatch(field)
            done.append(rename(m[1]) + m[2] + rename(m[3]) if m else field)
        at = struct.end(1)
    return "".join([*done, rename(text[at:])])


def aliases(text: str) -> dict[str, str]:
    """`from libkv... cimport name as other`: other -> name."""
    found = {}
    for m in CIMPORT.finditer(text):
        for original, other in re.findall(r"(\w+) as (\w+)", m[2]):
            found[other] = original
    return found


def strip(text: str) -> str:
    text = re.sub(r"^from __future__[^\n]*\n", "", text, flags=re.M)
    return CIMPORT.sub("", text)


def bare(line: str) -> str:
    """A line of an extern block, as it is compared: without comment, indent, and the cdef that it may begin with."""
    return re.sub(r"\s+#.*", "", line.strip()).removeprefix("cdef ")


def structs(texts: Iterable[str]) -> dict[str, list[str]]:
    """First line of each struct in extern blocks -> its fields in all modules: each declares what it reads."""
    found: dict[str, list[str]] = {}
    for text in texts:
        for block in EXTERN.findall(text):
            for _, header, body in EXTERN_STRUCT.findall(block):
                fields = found.setdefault(bare(header), [])
                fields += [f for f in dict.fromkeys(map(bare, body.splitlines())) if f and f not in fields]
    return {header: [f for f in fields if f != "pass"] or ["pass"] for header, fields in found.items()}


def extern_once(text: str, seen: set[str], fields: dict[str, list[str]]) -> str:
    """Leaves out what an earlier extern block has declared: a line, or a nested struct or enum member, a time each."""
    out = []
    inside = False
    skipping = -1
    verbatim = False
    block: list[str] = []
    for line in text.splitlines():
        stripped = line.strip()
        indent = len(line) - len(line.lstrip())
        if line.startswith("cdef extern from") and "*" not in line.split("from", 1)[1][:4]:
            if inside:
                out += close_block(block)
            inside = True
            block = [line]
            skipping = -1
            continue
        if inside and (verbatim or stripped.startswith('"""')):  # C code: all of it or nothing, so all of it
            verbatim ^= stripped.count('"""') % 2 == 1
            block.append(line)
            continue
        if inside and (indent > 0 or not stripped):
            if skipping >= 0 and (indent > skipping or not stripped):
                continue
            skipping = -1
            key = bare(stripped)
            if key and key not in ("enum:", "pass") and not key.startswith("#"):
                if key in seen:
                    if key.endswith(":"):
                        skipping = indent
                    continue
                seen.add(key)
                if key in fields:
                    block += [line, *(" " * (indent + 4) + field for field in fields[key])]
                    skipping = indent
                    continue
            block.append(line)
            continue
        if inside:
            out += close_block(block)
            inside = False
        out.append(line)
    if inside:
        out += close_block(block)
    return "\n".join(out) + "\n"


def close_block(block: list[str]) -> list[str]:
    """An extern block, without `enum:` lines that have lost all their members."""
    kept = []
    for i, line in enumerate(block):
        after = next((x for x in block[i + 1 :] if x.strip()), "")
        empty = len(after) - len(after.lstrip()) <= len(line) - len(line.lstrip())
        if line.strip() == "enum:" and empty:
            continue
        kept.append(line)
    return kept if any(x.strip() for x in kept[1:]) else []


def join() -> tuple[str, str]:
    """(core.pxd, core.pyx)"""
    found = modules()
    shared = "".join(read(p, ".pxd") for p in found.values())
    public = declared(shared)
    for path in found.values():
        for block in EXTERN.findall(read(path, ".pyx")):
            public |= set(re.findall(r"(\w+)\(", block))
    uses: dict[str, int] = {}
    for path in found.values():
        for name in defined(read(path, ".pyx")) - declared(read(path, ".pxd")):
            uses[name] = uses.get(name, 0) + 1
    pxd, pyx = [], []
    seen: set[str] = set()
    fields = structs(read(path, suffix) for path in found.values() for suffix in (".pxd", ".pyx"))
    for name in ordered(found):
        text = read(found[name], ".pxd")
        pxd.append(f"# ---- {name}\n" + extern_once(strip(renamed(text, aliases(text))), seen, fields))
    for name in found:
        text = read(found[name], ".pyx")
        own = read(found[name], ".pxd")
        short = name.rpartition(".")[2]
        private = {n for n in defined(text) - declared(own) if uses[n] > 1 or n in public}
        text = strip(renamed(text, aliases(text) | {n: f"{short}__{n}" for n in private}))
        text = re.sub(r"\A\s*(\"\"\"[\s\S]*?\"\"\")", "", text)
        pyx.append(f"# ---- {name}\n" + extern_once(text, seen, fields))
    return "\n".join(pxd), "\n".join(pyx) + "\nregistry_seal()\n"


def newest() -> float:
    times = [
        f.stat().st_mtime for p in modules().values() for s in (".pxd", ".pyx") if (f := p.with_suffix(s)).exists()
    ]
    return max([*times, Path(__file__).stat().st_mtime])


def build(folder: Path = FOLDER) -> Path:
    """The extension's file, built anew if any source is newer."""
    folder.mkdir(parents=True, exist_ok=True)
    built = sorted(folder.glob(f"{NAME}.*.so"))
    if built and built[0].stat().st_mtime > newest():
        return built[0]
    pxd, pyx = join()
    (folder / f"{NAME}.pxd").write_text(pxd)
    (folder / f"{NAME}.pyx").write_text(pyx)
    script = (
        "import sys; sys.path.insert(0, sys.argv[1]); import setup as s; from Cython.Build import cythonize\n"
        "from setuptools import Extension, setup\n"
        "flags, link, _ = s.compiler_flags()\n"
        f"e = Extension('{NAME}', ['{NAME}.pyx'], extra_compile_args=flags, extra_link_args=link)\n"
        "setup(name='x', script_args=['-q', 'build_ext', '--inplace'],\n"
        "      ext_modules=cythonize([e], compiler_directives=s.DIRECTIVES))\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", script, str(ROOT)],
        cwd=folder,
        capture_output=True,
        text=True,
        check=False,
        env=dict(os.environ),
    )
    built = sorted(folder.glob(f"{NAME}.*.so"))
    if done.returncode or not built:
        raise RuntimeError("the core in one unit does not build:\n" + (done.stdout + done.stderr)[-6000:])
    return built[0]


if __name__ == "__main__":
    print(build(Path(sys.argv[1]) if len(sys.argv) > 1 else FOLDER))
