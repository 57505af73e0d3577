#!/usr/bin/env python3
"""Runs the clients of docs/clients against a service in memory: through a proxy that loses, cuts and
refuses, without streams, and with what is final. Each ends as it should, and orders once. The client
in TypeScript is compiled with types that are generated from the service's OpenAPI document. And
docs/asyncapi.json is what AsyncAPI's own schema says.

    python3 deploy/test-clients.py target/debug/tickets
"""

import http.client
import json
import os
import shutil
import socket
import subprocess
import sys
import threading
import time
import urllib.request
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

TOP = Path(__file__).resolve().parent.parent
FOLDER = TOP / ".local/clients"
CLIENTS = {"order.sh": ["bash", "order.sh"], "order.py": ["python3", "order.py"], "order.ts": ["node", "order.js"]}
CLIENT_SECONDS = 120
# What stands between client and service does so the first times that it is asked. `lose`: it passes
# the request on, and closes without the answer; `half`: with half of it. `wait`: it says itself that
# the ticket waits, and ends the stream. A number: it refuses, and passes nothing on.
BAD_DAY = {
    "order": ["lose", 503, 429, 500, "half"],
    "events": ["wait"],
    "ticket": ["wait"],
    "confirm": ["lose", 503],
}
# `Retry-After` of what is on the way: a date, nothing to wait for, and what a shell would run.
ODD = ["Wed, 21 Oct 2026 07:28:00 GMT", "0", "-1", "1e9", "99999999", "ATTEMPTS[$(touch run-by-a-header)0]"]
ODD_DAY = {"order": [{"retry-after": odd} for odd in ODD]}
NO_STREAMS = {"events": [503] * 100, "ticket": ["wait", "lose"]}
RETRY_AFTER = 1


def kind(path):
    """Of a request: `/tickets`, `/tickets/ID`, or what is below that."""
    parts = path.partition("?")[0].split("/")[1:]
    return {1: "order", 2: "ticket"}.get(len(parts), parts[-1])


class Proxy(ThreadingHTTPServer):
    """Misbehaves by plan, and keeps what it was asked."""

    daemon_threads = True

    def __init__(self, service, plan):
        super().__init__(("127.0.0.1", 0), Handler)
        self.service, self.seen = service, []
        self.plan = {kind: list(acts) for kind, acts in plan.items()}
        threading.Thread(target=self.serve_forever, daemon=True).start()

    def asked(self, kind):
        return [one for one in self.seen if one["kind"] == kind]


class Handler(BaseHTTPRequestHandler):
    def do_GET(self):
        self.pass_on()

    def do_POST(self):
        self.pass_on()

    def log_message(self, *_):
        pass

    def pass_on(self):
        body = self.rfile.read(int(self.headers.get("Content-Length", 0)))
        acts = self.server.plan.get(kind(self.path))
        act = acts.pop(0) if acts else None
        headers = {name.lower(): value for name, value in self.headers.items()}
        self.server.seen.append(
            {"kind": kind(self.path), "act": act, "at": time.monotonic(), "headers": headers, "body": body})
        if isinstance(act, int):
            self.refuse(act, str(RETRY_AFTER))
        elif isinstance(act, dict):
            self.refuse(503, act["retry-after"])
        elif act == "wait":
            self.let_wait()
        else:
            service = http.client.HTTPConnection(self.server.service)
            service.request(self.command, self.path, body, dict(self.headers))
            self.answer(service.getresponse(), act)
        self.close_connection = True

    def refuse(self, status, retry_after):
        self.send_response(status)
        if status == 500:
            # Not by the service: no code, and nothing to wait for.
            self.end_headers()
            self.wfile.write(b"<html>")
            return
        self.send_header("Content-Type", "application/problem+json")
        self.send_header("Retry-After", retry_after)
        self.end_headers()
        self.wfile.write(json.dumps({"status": status, "code": "outcome_unknown", "detail": "…"}).encode())

    def let_wait(self):
        ticket = {"ticket_id": self.path.split("/")[2].partition("?")[0], "status": "processing"}
        self.send_response(200)
        self.end_headers()
        if kind(self.path) == "events":
            state = json.dumps(ticket | {"ticket_version": 0})
            self.wfile.write(f"retry: 1000\n\nid: 0\nevent: ticket\ndata: {state}\n\n".encode())
        else:
            self.wfile.write(json.dumps(ticket).encode())

    def answer(self, answer, act):
        if act == "lose":
            return
        self.send_response(answer.status)
        for name, value in answer.getheaders():
            if name.lower() not in ("transfer-encoding", "connection", "server", "date"):
                self.send_header(name, value)
        self.end_headers()
        if act == "half":
            self.wfile.write(answer.read()[:10])
            return
        try:
            while some := answer.read1(65536):
                self.wfile.write(some)
                self.wfile.flush()
        except OSError:
            pass  # The client has heard enough.


def free_port():
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


def ask(service, path, body=None):
    data = None if body is None else json.dumps(body).encode()
    request = urllib.request.Request(f"http://{service}{path}", data, {"Content-Type": "application/json"})
    with urllib.request.urlopen(request, timeout=10) as answer:
        return json.load(answer)


def start(program):
    port = free_port()
    settings = {"APP__SERVER__PORT": str(port), "APP__LOG__LEVEL": "error"}
    process = subprocess.Popen([program, "serve"], env=os.environ | settings)
    for _ in range(300):
        try:
            ask(f"127.0.0.1:{port}", "/health/ready")
            return process, f"127.0.0.1:{port}"
        except OSError:
            assert process.poll() is None, "the service ended"
            time.sleep(0.1)
    raise SystemExit("the service is not ready")


def run(client, base, *arguments):
    ran = subprocess.run([*CLIENTS[client], f"http://{base}", *arguments], cwd=FOLDER, timeout=CLIENT_SECONDS,
                         stdin=subprocess.DEVNULL, capture_output=True, text=True)
    print(f"  {client} {' '.join(arguments)}: {ran.returncode} {ran.stdout.strip()} {ran.stderr.strip()}", flush=True)
    return ran


def tickets_of(service, user):
    return ask(service, f"/tickets?user_id={user}")["tickets"]


def new_user(service, name):
    ask(service, "/users", {"id": name, "name": name})
    return name


def confirms(client, service, plan, name):
    """One order, confirmed, whatever is between; what was asked."""
    user = new_user(service, f"{name}-{client}")
    proxy = Proxy(service, plan)
    ran = run(client, f"127.0.0.1:{proxy.server_port}", "hold", user, "2")
    proxy.shutdown()
    assert ran.returncode == 0 and json.loads(ran.stdout)["status"] == "confirmed"
    tickets = tickets_of(service, user)
    assert [(ticket["status"], ticket["quantity"]) for ticket in tickets] == [("confirmed", 2)], tickets
    return proxy


def on_a_bad_day(client, service):
    proxy = confirms(client, service, BAD_DAY, "bad-day")
    orders = proxy.asked("order")
    assert len(orders) == len(BAD_DAY["order"]) + 1
    sent = {(one["headers"].get("idempotency-key"), one["body"]) for one in orders}
    assert len(sent) == 1 and sent.pop()[0], "an order was repeated with another key or body"
    for before, after in zip(proxy.seen, proxy.seen[1:]):
        if before["act"] in (429, 503):
            assert after["at"] - before["at"] >= RETRY_AFTER, "a request came sooner than Retry-After says"
    streams = proxy.asked("events")
    assert len(streams) == 2 and streams[1]["headers"].get("last-event-id") == "0", "a stream began again"
    assert len(proxy.asked("confirm")) == len(BAD_DAY["confirm"]) + 1


def on_an_odd_day(client, service):
    """What is no number of seconds is as good as none: its own pauses, the first of 250 ms at least."""
    proxy = confirms(client, service, ODD_DAY, "odd-day")
    orders = proxy.asked("order")
    assert len(orders) == len(ODD) + 1
    for before, after in zip(orders, orders[1:]):
        assert after["at"] - before["at"] >= 0.25, f"a request came at once after {before['act']}"
    assert not (FOLDER / "run-by-a-header").exists(), "a header was run"


def without_streams(client, service):
    proxy = confirms(client, service, NO_STREAMS, "no-streams")
    assert len(proxy.asked("ticket")) == len(NO_STREAMS["ticket"]) + 1


def what_is_final_is_not_repeated(client, service):
    user = new_user(service, f"final-{client}")
    for show, status, code in (("small", 2, "sold_out"), ("none", 1, "show_not_found")):
        proxy = Proxy(service, {})
        ran = run(client, f"127.0.0.1:{proxy.server_port}", show, user, "2")
        proxy.shutdown()
        assert ran.returncode == status and code in ran.stdout + ran.stderr
        assert len(proxy.asked("order")) == 1 and not proxy.asked("confirm")


def build(service):
    """The clients, in a folder where tools may leave what they need."""
    shutil.copytree(TOP / "docs/clients", FOLDER, dirs_exist_ok=True)
    lock, installed = FOLDER / "package-lock.json", FOLDER / "node_modules/installed.json"
    if not installed.exists() or installed.read_bytes() != lock.read_bytes():
        subprocess.run(["npm", "ci", "--no-audit", "--no-fund"], cwd=FOLDER, check=True)
        shutil.copy(lock, installed)
    generated = os.environ | {"TICKETS_URL": f"http://{service}"}
    subprocess.run(["npm", "run", "--silent", "generate"], cwd=FOLDER, env=generated, check=True)
    subprocess.run(["npm", "run", "--silent", "build"], cwd=FOLDER, check=True)
    found = os.environ | {"NODE_PATH": str(FOLDER / "node_modules")}
    subprocess.run(["node", TOP / "deploy/check-asyncapi.js"], env=found, check=True)


def main():
    process, service = start(sys.argv[1])
    passed = failed = 0
    try:
        build(service)
        ask(service, "/shows", {"id": "hold", "title": "With holds", "capacity": 100, "hold_seconds": 600})
        ask(service, "/shows", {"id": "small", "title": "Sold out at once", "capacity": 1})
        for client in CLIENTS:
            for case in (on_a_bad_day, on_an_odd_day, without_streams, what_is_final_is_not_repeated):
                print(f"{client}: {case.__name__}", flush=True)
                try:
                    case(client, service)
                    passed += 1
                except (AssertionError, subprocess.TimeoutExpired) as error:
                    failed += 1
                    print(f"{client}: {case.__name__}: {error!r}", file=sys.stderr)
    finally:
        process.terminate()
        process.wait()
    print(f"{passed} passed, {failed} failed")
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
