#!/usr/bin/env python3
"""Compares what the docs say with what the code has, where both can be read by a program:
log lines that an operator may see, settings, make targets, problem codes, the crates that use
each other, and the files that know features. Follows links, looks for the files that are named,
and measures lines. Lists every difference; exits 1 on any.
"""

import re
import subprocess
import sys
import tomllib
from pathlib import Path

TOP = Path(__file__).resolve().parent.parent
PRODUCT = ("accepting", "api", "domain", "http-api", "limits", "runtime", "tokens", "worker", "caching",
           "adapter-memory", "adapter-sql", "adapter-mysql", "adapter-rabbitmq")
# Set by the environment only, so that no file of config/ has them.
SECRETS = {"tickets.id_secrets", "admin.token", "auth.mode", "auth.hmac_secret", "mysql.url", "mysql.urls", "rabbitmq.url", "rabbitmq.urls"}

DOCS = [*sorted(TOP.glob("*.md")), *sorted((TOP / "docs").rglob("*.md"))]
COLUMNS = 100

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


def check_settings():
    known = set(SECRETS)
    for section, keys in tomllib.loads(read("config/base.toml")).items():
        known |= {f"{section}.{key}" for key in keys}
    rows = re.findall(r"^\| ((?:`[a-z_.]+`(?:, )?)+) \|", read("docs/CONFIGURATION.md"), re.M)
    told = {key for row in rows for key in re.findall(r"`([a-z_]+\.[a-z_]+)`", row)}
    for key in known - told:
        expect(False, f"CONFIGURATION.md does not explain {key}")
    for key in told - known:
        expect(False, f"CONFIGURATION.md explains {key}, which is no setting")


def check_targets():
    made = set(re.findall(r"^([a-z-]+):", read("Makefile"), re.M))
    for path in DOCS:
        for target in re.findall(r"(?:`|^ {4})make ([a-z][a-z-]*)", path.read_text(), re.M):
            expect(target in made, f"{path.name} names `make {target}`, which the Makefile lacks")


def check_codes():
    code = read("crates/http-api/src/problem/mod.rs")
    codes = set(re.findall(r"explanation\(\s*S::\w+,\s*\"(\w+)\"", code))
    expect(codes, "no problem code was found in problem/mod.rs")
    api = read("docs/API.md")
    for name in codes:
        expect(f"`{name}`" in api, f"API.md lacks the code {name}")
    for row in re.findall(r"^\| (?:[45]\d\d)[^|]*\| (.*) \|$", api, re.M):
        for name in re.findall(r"`([a-z]+(?:_[a-z]+)+|unauthorized)`", row):
            # A field that one of the problems has.
            expect(name in codes | {"ticket_id"}, f"API.md has the code {name}, which is none")


def check_rooms():
    """The picture of the crates has the edges of the manifests: `-->` in the product, `-.->` in tests."""
    picture = re.search(r"```mermaid\n(.*?)```", read("docs/ARCHITECTURE.md"), re.S).group(1)
    drawn = set(re.findall(r"^ +(\S+) (-->|-\.->) (\S+)$", picture, re.M))
    manifests = {path.parent.name: tomllib.loads(path.read_text()) for path in TOP.glob("crates/*/Cargo.toml")}
    real = set()
    for crate, manifest in manifests.items():
        used = manifest.get("dependencies", {}).keys() & manifests.keys()
        tested = manifest.get("dev-dependencies", {}).keys() & manifests.keys()
        real |= {(crate, "-->", other) for other in used}
        real |= {(crate, "-.->", other) for other in tested - used}
    for edge in sorted(real - drawn):
        expect(False, f"ARCHITECTURE.md does not draw {' '.join(edge)}")
    for edge in sorted(drawn - real):
        expect(False, f"ARCHITECTURE.md draws {' '.join(edge)}, which no manifest has")


def check_files():
    """Decisions name files of their time."""
    listed = ["git", "ls-files", "--cached", "--others", "--exclude-standard"]
    there = subprocess.run(listed, cwd=TOP, capture_output=True, text=True, check=True).stdout.splitlines()
    for path in DOCS:
        if path.parent.name != "adr":
            for name in set(re.findall(r"`([\w./-]+\.(?:rs|sh|py|toml))`", path.read_text())):
                is_there = any(f"/{other}".endswith(f"/{name}") for other in there)
                expect(is_there, f"{path.name} names {name}, which is not there")


def check_features():
    for path in product_sources():
        if re.search(r"cfg\((?:\w+\()*feature", path.read_text()):
            expect(path.parent.name == "wiring", f"ARCHITECTURE.md says that {path.name} knows no feature")


def prose(path):
    """The lines of a document, numbered, without code blocks."""
    is_code = False
    for number, line in enumerate(path.read_text().splitlines(), 1):
        if line.startswith("```"):
            is_code = not is_code
        elif not is_code:
            yield number, line


def anchors(path):
    """What a link may name behind `#`, as GitHub makes it of headings."""
    found = set()
    for _, line in prose(path):
        found.update(re.findall(r'<a id="([^"]+)">', line))
        if heading := re.match(r"#+ (.*)", line):
            # A link in a heading counts by its text.
            text = re.sub(r"\[([^]]*)\]\([^)]*\)", r"\1", heading.group(1)).strip().lower()
            found.add(re.sub(r"[^\w\- ]", "", text).replace(" ", "-"))
    return found


def check_links():
    for path in DOCS:
        for number, line in prose(path):
            line = re.sub(r"`[^`]*`", "", line)
            for link in re.findall(r"\]\(([^)\s]+)\)", line):
                if re.match(r"[a-z]+:", link):
                    continue
                name, _, anchor = link.partition("#")
                target = (path.parent / name).resolve() if name else path
                place = f"{path.name}:{number}"
                expect(target.exists(), f"{place}: {link} leads to no file")
                if anchor and target.suffix == ".md" and target.exists():
                    expect(anchor in anchors(target), f"{place}: {link} leads to no heading")


def check_lines():
    """Tables cannot be broken, and what a tool writes between markers is its own."""
    for path in DOCS:
        marker = None
        for number, line in prose(path):
            if found := re.fullmatch(r"<!-- (/?)([a-z-]+) -->", line):
                marker = None if found.group(1) else found.group(2)
            if marker is None and not line.startswith("|"):
                expect(len(line) <= COLUMNS, f"{path.name}:{number}: has {len(line)} columns")


def main():
    operations = words(read("docs/OPERATIONS.md"))
    check_log_lines(operations)
    check_settings()
    check_targets()
    check_codes()
    check_rooms()
    check_files()
    check_features()
    check_links()
    check_lines()
    for fault in faults:
        print(f"check-docs: {fault}", file=sys.stderr)
    return 1 if faults else 0


if __name__ == "__main__":
    sys.exit(main())
