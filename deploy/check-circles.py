#!/usr/bin/env python3
"""Finds circles between the files of a crate: one uses what is in another, which uses it.

A parent may name what its children have to offer it to others; whoever takes it from the
parent then uses the child. Tests are left out. docs/adr/0025 says what this cannot see.

Looks at the crates of the folder that the command line names, or of this repository.
"""

import re
import sys
from pathlib import Path

TEXT = re.compile(
    r'//[^\n]*|/\*.*?\*/|\br(#*)".*?"\1|"(?:[^"\\]|\\.)*"|\'(?:[^\'\\\n]|\\[^\n]+?)\'', re.S)
TESTS = re.compile(
    r"#\[cfg\((?:test|all\(\s*test,[^\]]*)\)\]\s*(?:#\[[^\]]*\]\s*)*mod \w+ \{")
USE = re.compile(r"^\s*(pub(?:\([^)]*\))?\s+)?use\s+([\w:{}*,\s]+);", re.M)
PATH = re.compile(r"(?<![\w:])\w+(?:::\w+)+")
TYPE = re.compile(r"\b(?:struct|enum|union|type) (\w+)")
IMPL = re.compile(r"^[ \t]*impl\b([^{;]*)\{", re.M)


def leaves(tree, before=()):
    """The paths of a `use`, each with its name here."""
    head, brace, rest = tree.partition("{")
    path = before + tuple(part.strip() for part in head.split("::") if part.strip())
    if not brace:
        *path, last = path
        last, _, alias = last.partition(" as ")
        yield tuple(path) + (() if last in ("self", "*") else (last,)), alias or (
            path[-1] if last == "self" and path else last)
        return
    depth = start = 0
    inner = rest[: rest.rindex("}")] + ","
    for at, sign in enumerate(inner):
        depth += (sign == "{") - (sign == "}")
        if sign == "," and depth == 0:
            if inner[start:at].strip():
                yield from leaves(inner[start:at], path)
            start = at + 1


def end_of(code, start):
    """Behind the brace that closes the one before `start`."""
    depth = 1
    for at in range(start, len(code)):
        depth += (code[at] == "{") - (code[at] == "}")
        if depth == 0:
            return at + 1
    return len(code)


def without_tests(code):
    while found := TESTS.search(code):
        code = code[: found.start()] + code[end_of(code, found.end()) :]
    return code


def inherent(code):
    """What has methods of its own here, and which: `impl Type`, not `impl Trait for Type`."""
    for found in IMPL.finditer(code):
        head = found.group(1).replace("->", "").strip()
        if re.search(r"\bfor\b\s*[^<\s]", head):
            continue
        if head.startswith("<"):
            depth = 0
            for at, sign in enumerate(head):
                depth += (sign == "<") - (sign == ">")
                if depth == 0:
                    head = head[at + 1 :].strip()
                    break
        if name := re.match(r"[\w:]+", head):
            body = code[found.end() : end_of(code, found.end())]
            yield tuple(name.group().split("::")), set(re.findall(r"\bfn (\w+)", body))


class Crate:
    def __init__(self, root):
        self.codes, self.names, self.uses, self.types = {}, {}, {}, {}
        for file in root.parent.rglob("*.rs"):
            parts = file.relative_to(root.parent).with_suffix("").parts
            if parts[0] != "bin" and parts[-1] != "tests" and (file.stem != "main" or file == root):
                module = parts[:-1] if parts[-1] == "mod" or file == root else parts
                self.codes[module] = without_tests(TEXT.sub("", file.read_text()))
        for module, code in self.codes.items():
            found = [(public, *leaf) for public, tree in USE.findall(code) for leaf in leaves(tree)]
            rest = USE.sub("", code)
            self.names[module] = {name: path for _, path, name in found}
            self.uses[module] = {tuple(path.split("::")) for path in PATH.findall(rest)} | {
                path for public, path, name in found
                if not public or re.search(rf"\b{re.escape(name)}\b", rest)}
            for name in TYPE.findall(code):
                self.types.setdefault(name, set()).add(module)

    def home(self, module, path, seen=()):
        """The file that has what is at this path; `None` if another crate has it."""
        at = () if path[0] == "crate" else module
        if path[0] not in ("crate", "super", "self") and module + path[:1] not in self.codes:
            # What a `use` of this file brought here.
            brought = self.names[module].get(path[0])
            if not brought or (module, path[0]) in seen:
                return None
            return self.home(module, brought + path[1:], (*seen, (module, path[0])))
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

    def methods(self):
        """The methods of a type that are not in its file: the type, its file, theirs, and their
        names."""
        for module, code in self.codes.items():
            for path, names in inherent(code):
                if len(path) == 1 and module in self.types.get(path[0], ()):
                    continue
                home = self.home(module, path)
                if home is None and len(only := self.types.get(path[-1], ())) == 1:
                    (home,) = only
                if home not in (None, module):
                    yield path[-1], home, module, names

    def edges(self):
        edges = {module: {self.home(module, path) for path in paths} - {None, module}
                 for module, paths in self.uses.items()}
        for name, home, module, methods in self.methods():
            call = re.compile(rf"(?:\.|\b(?:Self|{name})::)(?:{'|'.join(methods)})\b(?=\s*(?:\(|::<))")
            for caller, code in self.codes.items():
                knows_it = caller == home or re.search(rf"\b{name}\b", code)
                if methods and caller != module and knows_it and call.search(code):
                    edges[caller].add(module)
        return edges

    def circles(self):
        edges = self.edges()
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


def main(top):
    found = False
    for root in sorted([*top.glob("crates/*/src/lib.rs"), *top.glob("crates/*/tests/*/main.rs")]):
        for circle in Crate(root).circles():
            found = True
            files = ["::".join(module) or "the root" for module in circle]
            print(f"{root.parent.relative_to(top)}: {' -> '.join(files)}")
    return found


if __name__ == "__main__":
    named = [Path(name).resolve() for name in sys.argv[1:]]
    sys.exit(main(*named or [Path(__file__).resolve().parent.parent]))
