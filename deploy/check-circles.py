#!/usr/bin/env python3
"""Finds circles between the files of a crate: one uses what is in another, which uses it.

A parent may name what its children have to offer it to others; whoever takes it from the
parent then uses the child. Tests are left out.
"""

import re
import sys
from pathlib import Path

TOP = Path(__file__).resolve().parent.parent
TEXT = re.compile(r'"(?:[^"\\\n]|\\.)*"|//[^\n]*')
TESTS = re.compile(r"#\[cfg\(test\)\]\s*(?:#\[[^\]]*\]\s*)*mod \w+ \{")
USE = re.compile(r"^\s*(pub(?:\([^)]*\))?\s+)?use\s+([\w:{}*,\s]+);", re.M)
PATH = re.compile(r"(?<![\w:])\w+(?:::\w+)+")


def leaves(tree, before=()):
    """The paths of a `use`, each with its name here."""
    head, brace, rest = tree.partition("{")
    path = before + tuple(part.strip() for part in head.split("::") if part.strip())
    if not brace:
        *path, last = path
        last, _, alias = last.partition(" as ")
        yield tuple(path) + (() if last in ("self", "*") else (last,)), alias or last
        return
    depth = start = 0
    inner = rest[: rest.rindex("}")] + ","
    for at, sign in enumerate(inner):
        depth += (sign == "{") - (sign == "}")
        if sign == "," and depth == 0:
            if inner[start:at].strip():
                yield from leaves(inner[start:at], path)
            start = at + 1


class Crate:
    def __init__(self, root):
        self.codes, self.names, self.uses = {}, {}, {}
        for file in root.parent.rglob("*.rs"):
            parts = file.relative_to(root.parent).with_suffix("").parts
            if parts[0] != "bin" and parts[-1] != "tests" and (file.stem != "main" or file == root):
                module = parts[:-1] if parts[-1] == "mod" or file == root else parts
                self.codes[module] = TESTS.split(TEXT.sub("", file.read_text()))[0]
        for module, code in self.codes.items():
            found = [(public, *leaf) for public, tree in USE.findall(code) for leaf in leaves(tree)]
            rest = USE.sub("", code)
            self.names[module] = {name: path for _, path, name in found}
            self.uses[module] = {tuple(path.split("::")) for path in PATH.findall(rest)} | {
                path for public, path, name in found
                if not public or re.search(rf"\b{re.escape(name)}\b", rest)}

    def home(self, module, path, seen=()):
        """The file that has what is at this path; `None` if another crate has it."""
        at = () if path[0] == "crate" else module
        if path[0] not in ("crate", "super", "self") and module + path[:1] not in self.codes:
            return None
        for place, part in enumerate(path):
            if part == "super":
                at = at[:-1]
            elif at + (part,) in self.codes:
                at += (part,)
            elif part not in ("crate", "self"):
                offered = self.names[at].get(part)
                if offered and (at, part) not in seen:
                    seen = (*seen, (at, part))
                    return self.home(at, offered + path[place + 1 :], seen)
                break
        return at

    def circles(self):
        edges = {module: {self.home(module, path) for path in paths} - {None, module}
                 for module, paths in self.uses.items()}
        told = set()
        for start in sorted(edges):
            ways, reached = [[start]], set()
            for way in ways:
                for to in sorted(edges[way[-1]]):
                    if to == start and not told.issuperset(way):
                        told.update(way)
                        yield [*way, start]
                    if to not in reached:
                        reached.add(to)
                        ways.append([*way, to])


found = False
for root in sorted([*TOP.glob("crates/*/src/lib.rs"), *TOP.glob("crates/*/tests/*/main.rs")]):
    for circle in Crate(root).circles():
        found = True
        files = ["::".join(module) or "the root" for module in circle]
        print(f"{root.parent.relative_to(TOP)}: {' -> '.join(files)}")
sys.exit(found)
