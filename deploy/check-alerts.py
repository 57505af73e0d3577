#!/usr/bin/env python3
"""Checks deploy/observability without a Grafana and without a running Prometheus. promtool reads
the configuration and the rules, runs the tests of the alerts and parses the queries of the
dashboard; this file looks whether they use metrics and labels that docs/OPERATIONS.md lists.
Needs promtool (PROMTOOL, or the one in PATH) and PyYAML. Lists every fault; exits 1 on any.
"""

import json
import os
import re
import subprocess
import sys
import tempfile
from pathlib import Path

import yaml

TOP = Path(__file__).resolve().parent.parent
FOLDER = TOP / "deploy/observability"
PROMTOOL = os.environ.get("PROMTOOL", "promtool")
# What Prometheus adds to every series, and prometheus.yml to those of the service.
SCRAPED = {"instance", "job", "service"}
ALERT = {"alertname", "alertstate", "severity"}

faults = []


def expect(condition, fault):
    if not condition:
        faults.append(fault)


def promtool(*arguments):
    done = subprocess.run([PROMTOOL, *map(str, arguments)], capture_output=True, text=True, check=False)
    said = done.stdout + done.stderr
    expect(done.returncode == 0, f"promtool {' '.join(map(str, arguments))}:\n{said}")


def series():
    """Labels by name, of what can be asked for; a histogram is three."""
    table = re.search(r"<!-- metrics -->\n(.*?)<!-- /metrics -->", (TOP / "docs/OPERATIONS.md").read_text(), re.S)
    known = {"up": set(SCRAPED), "ALERTS": ALERT | SCRAPED | {"lane", "class"}}
    for name, kind, labels in re.findall(r"^\| `(\w+)` \| (\w+) \|([^|]*)\|", table.group(1), re.M):
        labels = set(re.findall(r"`(\w+)`", labels)) | SCRAPED
        if kind == "histogram":
            known |= {f"{name}_bucket": labels | {"le"}, f"{name}_sum": labels, f"{name}_count": labels}
        else:
            known[name] = labels
    return known


def check_query(place, query, shown, known):
    """`shown` is what a legend or an annotation makes of the answer's labels."""
    names = set(re.findall(r"\b(?:(?:tickets|process)_\w+|up\b|ALERTS\b)", query))
    expect(names, f"{place}: asks for no metric")
    for name in sorted(names - known.keys()):
        expect(False, f"{place}: OPERATIONS.md has no {name}")
    there = set().union(*(known.get(name, set()) for name in names))
    for name, matchers in re.findall(r"(\w+)\{([^}]*)\}", query):
        used = set(re.findall(r'(\w+)\s*(?:=~|!~|!=|=)\s*"', matchers))
        expect(used <= known.get(name, used), f"{place}: {name} has no {used - known.get(name, used)}")
    kept = re.findall(r"\b(?:by|on) \(([^)]*)\)", query)
    for label in {label for group in kept for label in re.findall(r"\w+", group)}:
        expect(label in there, f"{place}: nothing in it has the label {label}")
    outer = set(re.findall(r"\w+", kept[0])) if kept else there
    expect(shown <= outer, f"{place}: shows {shown - outer}, which the answer has not")


def check_alerts(known):
    operations = (TOP / "docs/OPERATIONS.md").read_text()
    told = dict(re.findall(r"^\| `(Tickets\w+)` \| (\w+) \|", operations, re.M))
    headings = {re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-")
                for heading in re.findall(r"^#+ (.*)$", operations, re.M)}
    tests = (FOLDER / "alerts_test.yml").read_text()
    causes = (TOP / "crates/api/tests/faults/alerts.rs").read_text()
    for group in yaml.safe_load((FOLDER / "alerts.yml").read_text())["groups"]:
        for rule in group["rules"]:
            name, notes = rule["alert"], rule["annotations"]
            severity = rule["labels"]["severity"]
            expect(told.pop(name, None) == severity, f"OPERATIONS.md does not say that {name} is {severity}")
            expect(f'labels: ALERTS{{alertname="{name}"' in tests, f"alerts_test.yml: {name} never fires")
            expect(f'"{name}"' in causes, f"faults/alerts.rs: nothing makes {name} fire")
            expect(notes.keys() == {"summary", "description", "runbook"}, f"{name}: has {set(notes)}")
            file, _, heading = notes["runbook"].partition("#")
            expect(file == "docs/OPERATIONS.md" and heading in headings, f"{name}: {notes['runbook']} leads nowhere")
            shown = set(re.findall(r"\$labels\.(\w+)", " ".join(notes.values())))
            check_query(name, rule["expr"], shown, known)
    for name in told:
        expect(False, f"OPERATIONS.md has the alert {name}, which is none")


def queries(dashboard):
    """Each with its place and the labels that its legend shows."""
    for note in dashboard["annotations"]["list"]:
        yield f"annotation {note['name']}", note["expr"], note["titleFormat"], note["datasource"]
    for panel in dashboard["panels"]:
        for target in panel.get("targets", []):
            yield panel["title"], target["expr"], target["legendFormat"], target["datasource"]


def check_dashboard(known):
    dashboard = json.loads((FOLDER / "grafana/sale.json").read_text())
    panels = dashboard["panels"]
    expect(len({panel["id"] for panel in panels}) == len(panels), "sale.json: two panels have one id")
    sources = yaml.safe_load((FOLDER / "grafana/datasources.yml").read_text())["datasources"]
    sources = [{"type": source["type"], "uid": source["uid"]} for source in sources]
    rules = []
    for target, (place, query, legend, source) in enumerate(queries(dashboard)):
        expect(source in sources, f"{place}: datasources.yml has no {source}")
        check_query(place, query, set(re.findall(r"\{\{(\w+)\}\}", legend)), known)
        name = re.sub(r"\W+", "_", f"panel {place} {target}")
        # Grafana puts a range in its place.
        rules.append({"record": name, "expr": query.replace("$__rate_interval", "1m")})
    with tempfile.NamedTemporaryFile("w", suffix=".yml") as file:
        yaml.safe_dump({"groups": [{"name": "dashboard", "rules": rules}]}, file)
        file.flush()
        promtool("check", "rules", file.name)


def main():
    known = series()
    promtool("check", "config", FOLDER / "prometheus.yml")
    promtool("test", "rules", FOLDER / "alerts_test.yml")
    check_alerts(known)
    check_dashboard(known)
    for fault in faults:
        print(f"check-alerts: {fault}", file=sys.stderr)
    return 1 if faults else 0


if __name__ == "__main__":
    sys.exit(main())
