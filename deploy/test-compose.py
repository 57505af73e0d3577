#!/usr/bin/env python3
"""Runs the container commands of docs/OPERATIONS.md as typed, in a clone of what is committed, and
looks at what docker-compose.yml promises. `make test-compose`; root on Debian.

The engine is one of its own (deploy/docker-engine.sh), with stand-ins for the images that
a registry would give. A file docker-compose.override.yml in the clone has only what that
needs. Prints what it did with times; exits 1 at the first thing that is not so.
"""

import json
import os
import re
import shutil
import subprocess
import sys
import threading
import time
import urllib.error
import urllib.request
from pathlib import Path

TOP = Path(__file__).resolve().parent.parent
STATE = Path(os.environ.get("ENGINE_STATE", "/var/tmp/tickets-engine"))
TREE = STATE / "engine" / "tree"
URL = "http://127.0.0.1:3001"
# A wait that only a hang misses.
PATIENCE = 300
started = time.monotonic()


class Fault(Exception):
    pass


def say(what):
    print(f"test-compose: {time.monotonic() - started:6.1f} s  {what}", flush=True)


def expect(condition, fault):
    if not condition:
        raise Fault(fault)


def run(*command, **variables):
    """What it printed; its exit code is the caller's."""
    environment = os.environ | variables
    return subprocess.run(command, env=environment, text=True, stdout=subprocess.PIPE, stderr=subprocess.STDOUT)


def docker(*arguments, fails=False, **variables):
    asked = time.monotonic()
    done = run(str(TOP / "deploy/docker-engine.sh"), "docker", *arguments, **variables)
    shown = " ".join(f"{name}={value}" for name, value in variables.items())
    say(f"{shown} docker {' '.join(arguments)}".strip()[:110] + f": {time.monotonic() - asked:.1f} s")
    expect((done.returncode != 0) == fails, f"exit code {done.returncode}:\n{done.stdout[-3000:]}")
    return done.stdout


def compose(*arguments, **options):
    return docker("compose", *arguments, **options)


def typed_in_docs():
    """The container commands, in their sequence."""
    operations = (TREE / "docs/OPERATIONS.md").read_text()
    section = operations.split("\n### In containers\n")[1].split("\n### ")[0]
    commands = re.findall(r"^    ((?:[A-Z_]+=\S+ )?docker .*)$", section, re.M)
    expect(len(commands) >= 4, f"OPERATIONS.md has only {commands}")
    return commands


def as_typed(command):
    words = command.split()
    variables = {}
    while "=" in words[0]:
        name, _, value = words.pop(0).partition("=")
        variables[name] = value
    return docker(*words[1:], **variables)


def http(method, path, body=None, url=URL, headers=()):
    request = urllib.request.Request(url + path, method=method, headers=dict(headers))
    if body is not None:
        request.add_header("Content-Type", "application/json")
        request.data = json.dumps(body).encode()
    try:
        with urllib.request.urlopen(request, timeout=30) as answer:
            return answer.status, json.loads(answer.read() or b"null")
    except urllib.error.HTTPError as error:
        return error.code, json.loads(error.read() or b"null")


def order(url=URL):
    status, ticket = http("POST", "/tickets", {"show_id": "230920", "user_id": 1}, url)
    expect(status == 202, f"order: {status} {ticket}")
    return ticket["ticket_id"]


def until_decided(ticket, url=URL):
    deadline = time.monotonic() + PATIENCE
    while True:
        status, read = http("GET", f"/tickets/{ticket}", url=url)
        if status == 200 and read["status"] != "processing":
            return read["status"]
        expect(time.monotonic() < deadline, f"ticket {ticket} is still {status} {read}")
        time.sleep(0.1)


def container(service):
    """The name of a container of the service: scaling down may leave any number."""
    return compose("ps", "--format", "{{.Name}}", service).split()[0]


def inspect(name, template):
    return docker("inspect", "--format", template, name).strip()


def in_container(name, *command):
    return docker("exec", name, *command)


def clone():
    for child in TREE.iterdir():
        shutil.rmtree(child) if child.is_dir() and not child.is_symlink() else child.unlink()
    bare = STATE / "clone"
    shutil.rmtree(bare, ignore_errors=True)
    done = run("git", "clone", "--quiet", "--no-hardlinks", str(TOP), str(bare))
    expect(done.returncode == 0, done.stdout)
    for child in bare.iterdir():
        shutil.move(child, TREE / child.name)
    base = re.search(r"^FROM (gcr\S+)", (TREE / "deploy/Dockerfile").read_text(), re.M).group(1)
    # The network of this machine, which packages come from; a stand-in for an image that is
    # pinned by its digest; and no more open files than this machine may give.
    override = {
        "services": {
            "migrate": {
                "build": {
                    "network": "host",
                    "additional_contexts": {base: "docker-image://tickets-test/distroless"},
                }
            }
        }
    }
    (TREE / "docker-compose.override.yml").write_text(json.dumps(override, indent=2))


class Buyers(threading.Thread):
    """Sixty orders a second with keys, each repeated until it has an answer."""

    def __init__(self):
        super().__init__(daemon=True)
        self.stopped = threading.Event()
        self.accepted = []

    def run(self):
        number = 0
        while not self.stopped.is_set():
            number += 1
            self.one(f"compose-{started}-{number}")
            self.stopped.wait(1 / 60)

    def one(self, key):
        while not self.stopped.is_set():
            try:
                body = {"show_id": "230920", "user_id": 1}
                status, ticket = http("POST", "/tickets", body, headers=[("Idempotency-Key", key)])
            except OSError:
                status = None
            if status in (200, 202):
                self.accepted.append(ticket["ticket_id"])
                return
            self.stopped.wait(0.2)


def check_promises(files):
    for service in ("api", "worker", "mysql", "rabbitmq"):
        name = container(service)
        log = json.loads(inspect(name, "{{json .HostConfig.LogConfig}}"))
        expect(log["Config"].get("max-size") == "10m", f"{name}: its log is not rotated: {log}")
        limits = json.loads(inspect(name, "{{json .HostConfig.Ulimits}}"))
        expect(limits[0]["Hard"] == int(files), f"{name}: {limits}")
    limit = in_container(container("rabbitmq"), "rabbitmqctl", "-q", "environment")
    expect('{disk_free_limit,"2GB"}' in limit, "rabbitmq: disk_free_limit is not 2GB")
    root = ["mysql", "--user=root", "--password=localonlyroot", "--execute=SELECT 1"]
    in_container(container("mysql"), *root)
    listing = docker("run", "--rm", "--entrypoint", "tickets", "tickets:local", "--version")
    expect(listing.startswith("tickets "), listing)
    copied = STATE / "engine" / "tree" / "copied"
    docker("cp", f"{container('api')}:/etc/tickets", "/tree/copied")
    for file in copied.rglob("*"):
        mode = file.stat().st_mode & 0o777
        expect(mode == (0o755 if file.is_dir() else 0o444), f"{file.name} has mode {mode:o}")


def check_faults():
    buyers = Buyers()
    buyers.start()
    for service in ("worker", "rabbitmq", "mysql", "api"):
        compose("kill", service)
        compose("up", "--wait")
    time.sleep(2)
    buyers.stopped.set()
    buyers.join()
    for ticket in buyers.accepted:
        status = until_decided(ticket)
        expect(status in ("confirmed", "rejected"), f"{ticket}: {status}")
    say(f"{len(buyers.accepted)} orders were accepted while each container was killed; all are decided")
    expect(len(buyers.accepted) > 100, "hardly any order was accepted")


def check_wrong_password(variable, service):
    """Another password than the volume's: says so at once, and works again with the old one."""
    asked = time.monotonic()
    said = compose("up", "--wait", fails=True, **{variable: "another"})
    took = time.monotonic() - asked
    expect(f'"{service}" didn\'t complete' in said, f"compose does not name {service}:\n{said[-500:]}")
    log = compose("logs", service)
    expect("keeps the password that its data were made with" in log, f"no remedy in:\n{log[-1000:]}")
    say(f"with another {variable} compose says so after {took:.1f} s")
    compose("up", "--wait")


def main():
    say("an engine and images")
    done = subprocess.run([str(TOP / "deploy/docker-engine.sh"), "start"])
    expect(done.returncode == 0, "no engine")
    clone()
    # This kind of machine may not raise it; others get what the file says.
    hard = subprocess.run("ulimit -Hn", shell=True, text=True, stdout=subprocess.PIPE, check=True).stdout.strip()
    files = hard if hard != "unlimited" and int(hard) < 65536 else "65536"
    os.environ["TICKETS_OPEN_FILES"] = files
    compose("down", "--volumes")
    try:
        check(files)
    finally:
        run(str(TOP / "deploy/docker-engine.sh"), "docker", "compose", "logs", "--tail", "50")
    compose("down", "--volumes")
    say("all of it works")


def check(files):
    for command in typed_in_docs():
        printed = as_typed(command)
        if "up" in command.split() and "--build" in command.split():
            expect(until_decided(order()) == "confirmed", "the first order")
    expect("0 violations" in printed, printed)
    check_promises(files)
    compose("up", "--wait")
    ticket = order()
    until_decided(ticket)
    check_faults()
    compose("down")
    compose("up", "--wait")
    expect(until_decided(ticket) == "confirmed", "a ticket did not survive `down`")
    in_container(container("mysql"), "mysql", "--user=root", "--password=localonlyroot", "--execute=SELECT 1")
    check_wrong_password("TICKETS_MYSQL_PASSWORD", "migrate")
    check_wrong_password("TICKETS_RABBITMQ_PASSWORD", "doctor")
    compose("up", "--wait", "--scale", "api=2", TICKETS_PORT="3001-3002")
    for port in (3001, 3002):
        # By now the demo user may have as many seats as it may.
        status = until_decided(order(f"http://127.0.0.1:{port}"))
        expect(status in ("confirmed", "rejected"), f"port {port}: {status}")
    expect("0 violations" in compose("exec", "-T", "api", "tickets", "audit"), "audit")


if __name__ == "__main__":
    try:
        main()
    except Fault as fault:
        say(f"FAULT: {fault}")
        sys.exit(1)
