#!/usr/bin/env python3
"""Orders seats, waits for the verdict and confirms: python3 order.py URL SHOW USER [SEATS].

Needs nothing but Python 3.9. TOKEN in the environment is the bearer token, where there is one.
Ends with 0 for a confirmed ticket, with 2 for one that is rejected, and else with 1.
"""

import http.client
import json
import os
import random
import re
import sys
import time
import urllib.error
import urllib.request
import uuid

ATTEMPTS = 8
# The service sends something each 15 s (`live.heartbeat_seconds`): twice that is silence.
SILENCE_SECONDS = 30
# No answer, or half of one: whether anything was done is not known.
BROKEN = (OSError, ValueError, http.client.HTTPException)


class Problem(Exception):
    """An answer that is final. Programs tell problems by `code`."""

    def __init__(self, problem):
        faults = "".join(f"\n  {json.dumps(fault)}" for fault in problem.get("errors", []))
        super().__init__(f"{problem.get('code')}: {problem.get('detail')}{faults}")
        self.code = problem.get("code")


def pause(attempt, retry_after=None):
    """What the service asks for, or else twice as long each time; never all clients at once.

    Nothing but seconds is taken: something on the way may send a date.
    """
    if re.fullmatch("[1-9][0-9]{0,4}", retry_after or ""):
        seconds = int(retry_after)
    else:
        seconds = 0.25 * 2 ** min(attempt, 5)
    time.sleep(seconds + random.uniform(0, seconds / 2))


def open_url(url, method="GET", body=None, headers=None):
    headers = dict(headers or {})
    if token := os.environ.get("TOKEN"):
        headers["Authorization"] = f"Bearer {token}"
    if body is not None:
        headers["Content-Type"] = "application/json"
        body = json.dumps(body).encode()
    request = urllib.request.Request(url, data=body, headers=headers, method=method)
    return urllib.request.urlopen(request, timeout=SILENCE_SECONDS)


def call(url, method="GET", body=None, headers=None):
    """Repeats what may succeed later. Every request here can be repeated: an order has its key."""
    for attempt in range(ATTEMPTS):
        retry_after = None
        try:
            with open_url(url, method, body, headers) as answer:
                return json.load(answer), answer.headers
        except urllib.error.HTTPError as error:
            with error:
                if error.code not in (408, 429) and error.code < 500:
                    raise Problem(problem_of(error)) from error
                retry_after = error.headers["Retry-After"]
        except BROKEN:
            pass
        pause(attempt, retry_after)
    raise SystemExit(f"{method} {url}: no answer after {ATTEMPTS} attempts")


def problem_of(error):
    try:
        return json.load(error)
    except ValueError:  # Not from the service, but from something before it.
        return {"code": f"http_{error.code}", "detail": error.reason}


def events(url, last_event_id):
    """Name, id and data of each event, until the stream ends."""
    headers = {"Accept": "text/event-stream"}
    if last_event_id:
        headers["Last-Event-ID"] = last_event_id
    with open_url(url, headers=headers) as stream:
        event = {}
        for line in stream:
            name, _, value = line.decode().rstrip("\r\n").partition(":")
            if name:
                event[name] = value.removeprefix(" ")
            elif line.strip() == b"" and event:
                if "data" in event:
                    yield event.get("event"), event.get("id"), json.loads(event["data"])
                event = {}


def wait_for_verdict(base, ticket_path):
    """Listens, and looks itself when a stream does not come or breaks off."""
    path, _, query = ticket_path.partition("?")
    last_event_id, attempt = None, 0
    while True:
        try:
            for name, event_id, data in events(f"{base}{path}/events?{query}", last_event_id):
                attempt = 0
                last_event_id = event_id or last_event_id
                if name == "ticket" and data["status"] != "processing":
                    return data
                if name == "waiting_line":
                    print(f"ahead: {data['estimated_orders_ahead']}", file=sys.stderr)
        except BROKEN:
            pass  # Answers other than 200 are among these.
        ticket, _ = call(base + ticket_path)
        if ticket["status"] != "processing":
            return ticket
        pause(attempt)
        attempt += 1


def main():
    if len(sys.argv) < 4:
        raise SystemExit("usage: order.py URL SHOW USER [SEATS], with a URL such as http://localhost:3001")
    base, show, user = sys.argv[1].rstrip("/"), *sys.argv[2:4]
    seats = int(sys.argv[4]) if len(sys.argv) > 4 else 1
    # One key for one order, kept where a restart finds it: the same key is the same order.
    key = str(uuid.uuid4())
    order = {"show_id": show, "user_id": user, "quantity": seats}
    try:
        _, headers = call(f"{base}/tickets", "POST", order, {"Idempotency-Key": key})
        ticket_path = headers["Location"]
        ticket = wait_for_verdict(base, ticket_path)
        if ticket["status"] == "reserved":
            # Take the payment here, before `hold_expires_at`.
            ticket, _ = call(f"{base}/tickets/{ticket['ticket_id']}/confirm", "POST")
    except Problem as problem:
        # `hold_expired`: give the money back. `sales_closed`, `show_not_found`: tell the buyer.
        raise SystemExit(f"refused, {problem}")
    print(json.dumps(ticket))
    return {"confirmed": 0, "rejected": 2}.get(ticket["status"], 1)


if __name__ == "__main__":
    sys.exit(main())
