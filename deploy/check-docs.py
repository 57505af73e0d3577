#!/usr/bin/env python3
"""Compares what the docs say with what the code has, where both can be read by a program:
log lines that an operator may see, settings, make targets, problem codes, and the files that
know features. Lists every difference; exits 1 on any.
"""

import re
import sys
import tomllib
from pathlib import Path

TOP = Path(__file__).resolve().parent.parent
PRODUCT = ("accepting", "api", "domain", "http-api", "runtime", "worker", "adapter-memory", "adapter-mysql", "adapter-rabbitmq")
# Set by the environment only, so that no file of config/ has them.
SECRETS = {"tickets.id_secrets", "admin.token", "mysql.url", "mysql.urls", "rabbitmq.url", "rabbitmq.urls"}

faults = []


def expect(condition, fault):
    if not condition:
        faults.append(fault)


def read(path):
    return (TOP / path).read_text()


def words(text):
    """As one line: a message may be broken in the code and in the docs."""
    return " ".join(text.split())


def product_sources():
    for crate in PRODUCT:
        yield from sorted((TOP / "crates" / crate / "src").rglob("*.rs"))


def arguments(source, start):
    """What stands between the parenthesis that opens at `start` and the one that closes it."""
    depth, literal = 0, False
    for at in range(start, len(source)):
        if source[at] == '"' and source[at - 1] != "\\":
            literal = not literal
        elif not literal:
            depth += {"(": 1, ")": -1}.get(source[at], 0)
            if depth == 0:
                return source[start + 1 : at]
    return ""


def check_log_lines(operations):
    for path in product_sources():
        source = path.read_text()
        for found in re.finditer(r"\b(warn|error)!\(", source):
            macro, inside = found.group(1), arguments(source, found.end() - 1)
            # The message is the last literal; a backslash at the end of a line joins two.
            literals = re.findall(r'"((?:[^"\\]|\\.)*)"', re.sub(r"\\\n\s*", "", inside), re.S)
            expect(literals, f"{path.name}: a {macro} line has no message")
            message = words(literals[-1] if literals else "")
            expect(message in operations, f"OPERATIONS.md lacks the {macro} line `{message}` of {path.name}")


def check_settings(operations):
    known = set(SECRETS)
    for section, keys in tomllib.loads(read("config/base.toml")).items():
        known |= {f"{section}.{key}" for key in keys}
    rows = re.findall(r"^\| ((?:`[a-z_.]+`(?:, )?)+) \|", read("docs/OPERATIONS.md"), re.M)
    told = {key for row in rows for key in re.findall(r"`([a-z_]+\.[a-z_]+)`", row)}
    for key in known - told:
        expect(False, f"OPERATIONS.md does not explain {key}")
    for key in told - known:
        expect(False, f"OPERATIONS.md explains {key}, which is no setting")


def check_targets():
    made = set(re.findall(r"^([a-z-]+):", read("Makefile"), re.M))
    for path in [TOP / "README.md", *sorted((TOP / "docs").rglob("*.md"))]:
        for target in re.findall(r"(?:`|^ {4})make ([a-z][a-z-]*)", path.read_text(), re.M):
            expect(target in made, f"{path.name} names `make {target}`, which the Makefile lacks")


def check_codes():
    code = read("crates/http-api/src/problem/mod.rs")
    codes = set(re.findall(r"told\(\s*S::\w+,\s*\"(\w+)\"", code))
    expect(codes, "no problem code was found in problem/mod.rs")
    readme = read("README.md")
    for name in codes:
        expect(f"`{name}`" in readme, f"README.md lacks the code {name}")
    for row in re.findall(r"^\| (?:[45]\d\d)[^|]*\| (.*) \|$", readme, re.M):
        for name in re.findall(r"`([a-z]+(?:_[a-z]+)+|unauthorized)`", row):
            # A field that one of the problems has.
            expect(name in codes | {"ticket_id"}, f"README.md has the code {name}, which is none")


def check_features():
    for path in product_sources():
        if re.search(r"cfg\((?:\w+\()*feature", path.read_text()):
            expect(path.parent.name == "wiring", f"ARCHITECTURE.md says that {path.name} knows no feature")


def main():
    operations = words(read("docs/OPERATIONS.md"))
    check_log_lines(operations)
    check_settings(operations)
    check_targets()
    check_codes()
    check_features()
    for fault in faults:
        print(f"check-docs: {fault}", file=sys.stderr)
    return 1 if faults else 0


if __name__ == "__main__":
    sys.exit(main())
