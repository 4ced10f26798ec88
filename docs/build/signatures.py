"""Prints libkv/api/signatures.pyi: the commands' methods as type checkers see them where they don't return the reply.

A pipeline's return the pipeline, or the reply while it watches; asyncio's return an awaitable of the reply.

python docs/build/signatures.py            writes the stub
python docs/build/signatures.py --check    exit status 1 when the stub is not what the methods say
"""

from __future__ import annotations

import ast
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
API = ROOT / "libkv/api"
STUB = API / "signatures.pyi"

HEAD = """\
# The methods of libkv.api.commands.Commands with other results, for type checkers only: there is no such module.
# Printed by docs/build/signatures.py.
# fmt: off
# ruff: noqa: E501, I001

"""


def trees() -> dict[str, ast.Module]:
    """The modules of the groups of commands, in the order in which `Commands` lists them."""
    commands = ast.parse((API / "commands.py").read_text(encoding="utf-8"))
    home = {
        alias.name: node.module
        for node in commands.body
        if isinstance(node, ast.ImportFrom) and node.module and node.module.startswith("libkv.api.")
        for alias in node.names
    }
    bases = next(node.bases for node in commands.body if isinstance(node, ast.ClassDef))
    groups = [base.id for base in bases if isinstance(base, ast.Name)]
    return {name: ast.parse((ROOT / f"{home[name].replace('.', '/')}.py").read_text("utf-8")) for name in groups}


def methods(group: str, tree: ast.Module) -> Iterator[ast.FunctionDef]:
    """The public methods of one group's class."""
    cls = next(node for node in tree.body if isinstance(node, ast.ClassDef) and node.name == group)
    for node in cls.body:
        if isinstance(node, ast.FunctionDef) and (not node.name.startswith("_") or node.name.startswith("__")):
            yield node


def names_of(tree: ast.Module, module: str) -> dict[str, str]:
    """Every name that a module imports or defines at its top level: the statement that imports it elsewhere."""
    found: dict[str, str] = {}
    for node in ast.walk(tree):
        if isinstance(node, ast.ImportFrom) and node.module != "__future__":
            found |= {alias.name: f"from {node.module} import {alias.name}" for alias in node.names}
        elif isinstance(node, ast.Import):
            found |= {alias.name: f"import {alias.name}" for alias in node.names}
    for node in tree.body:
        if isinstance(node, ast.ClassDef):
            found[node.name] = f"from {module} import {node.name}"
        elif isinstance(node, ast.Assign) and isinstance(node.targets[0], ast.Name):
            found[node.targets[0].id] = f"from {module} import {node.targets[0].id}"
    return found


def signature(node: ast.FunctionDef, result: str) -> str:
    """One method, its defaults left out."""
    given = node.args
    plain = ast.arguments(
        posonlyargs=given.posonlyargs,
        args=given.args,
        vararg=given.vararg,
        kwonlyargs=given.kwonlyargs,
        kw_defaults=[None if default is None else ast.Constant(...) for default in given.kw_defaults],
        kwarg=given.kwarg,
        defaults=[ast.Constant(...) for _ in given.defaults],
    )
    return f"    def {node.name}({ast.unparse(plain)}) -> {result}: ...\n"


def queued(node: ast.FunctionDef) -> str | None:
    return "None" if node.name in ("__setitem__", "__delitem__") else "Any"


def awaited(node: ast.FunctionDef) -> str | None:
    """None: not a method of asyncio's handles, or one that they have themselves."""
    result = ast.unparse(node.returns) if node.returns else "Any"
    if node.name.startswith("__") or result.startswith("Iterator["):
        return None
    return "Any" if result in ("BitFieldOperation", "Script") else f"Awaitable[{result}]"


def stub_class(name: str, result: Callable[[ast.FunctionDef], str | None], found: dict[str, ast.Module]) -> str:
    seen: set[str] = set()
    lines = [f"class {name}(Handle):\n"]
    for group, tree in found.items():
        for node in methods(group, tree):
            what = result(node)
            if node.name not in seen and what is not None:
                seen.add(node.name)
                lines.append(signature(node, what))
    return "".join(lines)


def stub() -> str:
    found = trees()
    classes = stub_class("QueuedCommands", queued, found) + "\n" + stub_class("AwaitedCommands", awaited, found)
    used = {node.id for node in ast.walk(ast.parse(classes)) if isinstance(node, ast.Name)}
    known = {
        "Any": "from typing import Any",
        "Awaitable": "from collections.abc import Awaitable",
        "Handle": "from libkv.api.arguments import Handle",
    }
    commands = ast.parse((API / "commands.py").read_text(encoding="utf-8"))
    home = names_of(commands, "")
    for group, tree in found.items():
        known = names_of(tree, home[group].split()[1]) | known
    return HEAD + "".join(f"{line}\n" for line in sorted({known[n] for n in used if n in known})) + "\n" + classes


def main() -> int:
    text = stub()
    if "--check" in sys.argv[1:]:
        if STUB.is_file() and STUB.read_text(encoding="utf-8") == text:
            return 0
        print(f"{STUB} is not what the methods say: run python {Path(__file__).relative_to(ROOT)}", file=sys.stderr)
        return 1
    STUB.write_text(text, encoding="utf-8")
    return 0


if __name__ == "__main__":
    sys.exit(main())
