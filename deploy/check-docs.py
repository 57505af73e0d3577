#!/usr/bin/env python3
"""Compares what the docs say with what the code has, where both can be read by a program:
log lines that an operator may see, settings and their defaults, make targets, metrics, the map of
the code, the crates that use each other, the files that know features, what CLIENTS.md shows of the
clients, and the tests that SECURITY.md names. Follows links, looks for the files that are named, and measures
lines. Lists every difference; exits 1 on any.
"""

import re
import subprocess
import sys
import tomllib
from pathlib import Path

TOP = Path(__file__).resolve().parent.parent
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


def manifests():
    return {path.parent.name: tomllib.loads(path.read_text()) for path in TOP.glob("crates/*/Cargo.toml")}


def product_sources():
    """Of the crates that are in the binary `tickets`."""
    crates, product = manifests(), ["api"]
    for crate in product:
        used = crates[crate].get("dependencies", {}).keys() & crates.keys()
        product.extend(sorted(used - set(product)))
    for crate in product:
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


def settings_of(file):
    tables = tomllib.loads(read(file))
    return {f"{section}.{key}": value for section, keys in tables.items() for key, value in keys.items()}


def settings_in_code():
    for path in (TOP / "crates/api/src/settings").glob("*.rs"):
        if path.name != "tests.rs":
            yield from re.findall(r'"([a-z]+\.[a-z0-9_]+)"', path.read_text())


def written(value):
    """How CONFIGURATION.md writes a default."""
    if isinstance(value, bool):
        return {f"`{str(value).lower()}`"}
    if isinstance(value, str):
        return {f"`{value}`" if value else ""}
    return {str(value), f"{value:,}"}


def check_settings():
    defaults, known = settings_of("config/base.toml"), set(settings_in_code())
    rows = re.findall(r"^\| ((?:`[a-z0-9_.]+`(?:, )?)+) \| [^|]* \| (.*) \|$", read("docs/CONFIGURATION.md"), re.M)
    told = {}
    for names, meaning in rows:
        names = re.findall(r"`([a-z_]+\.[a-z0-9_]+)`", names)
        # Several settings of a row have their defaults in the same sequence.
        given = re.split(r", | and ", re.split(r"[;:]|, in (?:production|development) ", meaning)[0])
        told |= dict(zip(names, given if len(given) == len(names) > 1 else [meaning] * len(names)))
        for name in names:
            for environment in ("production", "development"):
                value = settings_of(f"config/{environment}.toml").get(name)
                right = value is None or any(
                    f"in {environment} {text}" in meaning for text in written(value))
                expect(right, f"CONFIGURATION.md does not say that {name} is {value} in {environment}")
    logging = {path.relative_to(TOP / "crates").parts[0] for path in product_sources()
               if re.search(r"\b(?:debug|info|warn|error)!\(", path.read_text())}
    for crate in sorted(logging):
        named = f"`{crate.replace('-', '_')}`" in told.get("log.level", "")
        expect(named, f"CONFIGURATION.md does not say that {crate} is a part of the log")
    for key in sorted(known - told.keys()):
        expect(False, f"CONFIGURATION.md does not explain {key}")
    for key in sorted(told.keys() - known):
        expect(False, f"CONFIGURATION.md explains {key}, which is no setting")
    for key in sorted(defaults.keys() - known):
        expect(False, f"base.toml sets {key}, which no file of settings reads")
    for key, value in defaults.items():
        starts = any(
            not text or re.match(rf"{re.escape(text)}(?![\w,]\w)", told.get(key, "")) for text in written(value))
        expect(starts, f"CONFIGURATION.md does not begin what {key} means with its default {value!r}")


def check_targets():
    made = set(re.findall(r"^([a-z-]+):", read("Makefile"), re.M))
    for path in DOCS:
        for target in re.findall(r"(?:`|^ {4})make ([a-z][a-z-]*)", path.read_text(), re.M):
            expect(target in made, f"{path.name} names `make {target}`, which the Makefile lacks")


def check_metrics():
    """Names and types of the table are those of the code. A test compares the labels."""
    kinds = {"gauge": "gauge", "gauges": "gauge", "counter": "counter", "counters": "counter"}
    measured, made = [*(TOP / "crates/metrics/src").glob("*.rs")], {}
    for path in [*measured, TOP / "crates/api/src/application/metering.rs"]:
        for how, name in re.findall(r'\b(\w+)\(\s*"((?:tickets|process)_[a-z_]+)"', path.read_text()):
            made[name] = kinds.get(how, "histogram")
    table = re.search(r"<!-- metrics -->\n(.*?)<!-- /metrics -->", read("docs/OPERATIONS.md"), re.S).group(1)
    told = dict(re.findall(r"^\| `(\w+)` \| (\w+) \|", table, re.M))
    for name in sorted(made.keys() | told.keys()):
        expect(name in told, f"OPERATIONS.md lacks the metric {name}")
        expect(name in made, f"OPERATIONS.md has the metric {name}, which is none")
        both = {told.get(name), made.get(name)}
        expect(len(both) == 1 or None in both, f"OPERATIONS.md says that {name} is a {told.get(name)}")


def check_rooms():
    """The picture of the crates has the edges of the manifests: `-->` in the product, `-.->` in tests."""
    picture = re.search(r"```mermaid\n(.*?)```", read("docs/ARCHITECTURE.md"), re.S).group(1)
    drawn = set(re.findall(r"^ +(\S+) (-->|-\.->) (\S+)$", picture, re.M))
    crates, real = manifests(), set()
    for crate, manifest in crates.items():
        used = manifest.get("dependencies", {}).keys() & crates.keys()
        tested = manifest.get("dev-dependencies", {}).keys() & crates.keys()
        real |= {(crate, "-->", other) for other in used}
        real |= {(crate, "-.->", other) for other in tested - used}
    for edge in sorted(real - drawn):
        expect(False, f"ARCHITECTURE.md does not draw {' '.join(edge)}")
    for edge in sorted(drawn - real):
        expect(False, f"ARCHITECTURE.md draws {' '.join(edge)}, which no manifest has")


def files():
    listed = ["git", "ls-files", "--cached", "--others", "--exclude-standard"]
    found = subprocess.run(listed, cwd=TOP, capture_output=True, text=True, check=True).stdout.splitlines()
    return [name for name in found if (TOP / name).exists()]


def check_files():
    """Decisions name files of their time."""
    there = files()
    # A setting has a dot, too: what is behind it makes it a file.
    kinds = {name.rpartition(".")[2] for name in there if "." in name.rpartition("/")[2]}
    kinds = "|".join(sorted(kinds | {"csv", "html", "jsonl", "png", "txt", "xml", "yaml"}))
    for path in DOCS:
        if path.parent.name != "adr":
            for name in set(re.findall(rf"`([\w./-]+\.(?:{kinds}))`", path.read_text())):
                is_there = any(f"/{other}".endswith(f"/{name}") for other in there)
                # `/name` is served.
                expect(is_there or name.startswith(("target/", "/")), f"{path.name} names {name}, which is not there")


def check_map():
    """Each crate and folder has a row, and what a row names is below what it is about."""
    there = files()
    folders = {"/".join(name.split("/")[:depth]) for name in there for depth in range(1, name.count("/") + 1)}
    table = read("docs/ARCHITECTURE.md").partition("\n| where | what |\n")[2].partition("\n\n")[0]
    rows = re.findall(r"^\| (`.*?) \| (.*) \|$", table, re.M)
    expect(rows, "ARCHITECTURE.md has no map of the code")
    known, top = folders | set(there), set()
    for where, what in rows:
        before, places = "", []
        for name in re.findall(r"`([^`]+)`", where):
            # The second of a row may be beside the first.
            place = name if name in known else f"{before.rpartition('/')[0]}/{name}"
            expect(place in known, f"ARCHITECTURE.md maps {name}, which is not there")
            before = place
            places.append(place)
        top |= set(places)
        below = [name for name in known if any(f"{name}/".startswith(f"{place}/") for place in places)]
        for name in re.findall(r"`([\w./-]+(?:\.[a-z]+|/))`", re.sub(r"\([^()]*\.md[^()]*\)", "", what)):
            name = name.rstrip("/")
            is_there = name in known or f"crates/{name}" in known or any(
                f"/{other}".endswith(f"/{name}") for other in below)
            expect(is_there, f"ARCHITECTURE.md names {name} in the row of {where}, which is not below it")
    crates = {f"crates/{crate}" for crate in manifests()}
    rest = {folder for folder in folders if "/" not in folder} - {"crates"}
    for folder in sorted((crates | rest) - top):
        expect(False, f"ARCHITECTURE.md does not map {folder}")


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


def check_tests():
    """What SECURITY.md says that a test shows, a test shows."""
    tests = set()
    for path in (TOP / "crates").glob("*/**/*.rs"):
        tests.update(re.findall(
            r"#\[(?:tokio::)?test(?:\([^\n]*\))?\]\n(?: *#\[.*\]\n)*\s*(?:async )?fn (\w+)", path.read_text()))
    named, told = set(), read("docs/SECURITY.md")
    for table in re.findall(r"^\|.*\| shown by \|\n((?:\|.*\n)+)", told, re.M):
        for cell in re.findall(r"\| ([^|]*) \|$", table, re.M):
            named.update(re.findall(r"`(\w+)`", cell))
    # Beside the tables, a word of so many parts is a test.
    named.update(re.findall(r"`((?:[a-z]+_){4,}[a-z]+)`", told))
    expect(named, "SECURITY.md names no test")
    for name in sorted(named - tests):
        expect(False, f"SECURITY.md says that {name} shows something, which is no test")


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


def check_clients():
    """What CLIENTS.md shows of a client is in it, line by line."""
    clients = [path.read_text() for path in (TOP / "docs/clients").iterdir()]
    shown = re.findall(r"^```\w+\n(.*?)^```$", read("docs/CLIENTS.md"), re.M | re.S)
    expect(shown, "CLIENTS.md shows nothing of a client")
    for code in shown:
        expect(any(code in client for client in clients), f"CLIENTS.md shows what no client has: {code.strip()}")


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
    check_metrics()
    check_rooms()
    check_files()
    check_map()
    check_features()
    check_tests()
    check_links()
    check_clients()
    check_lines()
    for fault in faults:
        print(f"check-docs: {fault}", file=sys.stderr)
    return 1 if faults else 0


if __name__ == "__main__":
    sys.exit(main())
