// Orders seats, waits for the verdict and confirms: node order.js URL SHOW USER [SEATS].
//
// Its types are generated from the service's OpenAPI document (see package.json), so that a field
// or a code that there is none of does not compile. TOKEN in the environment is the bearer token,
// where there is one.
// Ends with 0 for a confirmed ticket, with 2 for one that is rejected, and else with 1.

import { randomUUID } from "node:crypto";
import { setTimeout as sleep } from "node:timers/promises";

import createClient from "openapi-fetch";

import type { components, paths } from "./schema.js";

type Ticket = components["schemas"]["Ticket"];
type WaitingLine = components["schemas"]["WaitingLine"];

const ATTEMPTS = 8;
// The service sends something each 15 s (`live.heartbeat_seconds`): twice that is silence.
const SILENCE_MS = 30_000;

const [url = "", show = "", user = "", seats = "1"] = process.argv.slice(2);
if (!url || !show || !user) {
  console.error("usage: order.js URL SHOW USER [SEATS], with a URL such as http://localhost:3001");
  process.exit(1);
}
const base = url.replace(/\/$/, "");
const token = process.env.TOKEN;
const headers: Record<string, string> = token ? { Authorization: `Bearer ${token}` } : {};
const client = createClient<paths>({ baseUrl: base, headers, fetch: fetchAgain });

/**
 * What the service asks for, or else twice as long each time; never all clients at once.
 * Nothing but seconds is taken: something on the way may send a date.
 */
async function pause(attempt: number, retryAfter: string | null = null): Promise<void> {
  const isSeconds = /^[1-9]\d{0,4}$/.test(retryAfter ?? "");
  const ms = isSeconds ? Number(retryAfter) * 1000 : 250 * 2 ** Math.min(attempt, 5);
  await sleep(ms + (Math.random() * ms) / 2);
}

/** Repeats what may succeed later. Every request here can be repeated: an order has its key. */
async function fetchAgain(request: Request): Promise<Response> {
  for (let attempt = 0; attempt < ATTEMPTS; attempt++) {
    let retryAfter = null;
    try {
      const signal = AbortSignal.timeout(SILENCE_MS);
      const answer = await fetch(request.clone(), { signal });
      const body = await answer.arrayBuffer();
      if (answer.status < 500 && answer.status !== 408 && answer.status !== 429) {
        return new Response(body, answer);
      }
      retryAfter = answer.headers.get("Retry-After");
    } catch {
      // No answer, or half of one: whether anything was done is not known.
    }
    await pause(attempt, retryAfter);
  }
  throw new Error(`${request.method} ${request.url}: no answer after ${ATTEMPTS} attempts`);
}

interface Event {
  event?: string;
  id?: string;
  data?: string;
}

/** Each event, until the stream ends. */
async function* events(url: string, lastEventId: string | undefined): AsyncGenerator<Event> {
  const silence = new AbortController();
  let timer = setTimeout(() => silence.abort(), SILENCE_MS);
  try {
    const resume = lastEventId === undefined ? {} : { "Last-Event-ID": lastEventId };
    const asked = { headers: { ...headers, ...resume }, signal: silence.signal };
    const answer = await fetch(url, asked);
    if (answer.status !== 200 || !answer.body) return;
    let text = "";
    for await (const chunk of answer.body.pipeThrough(new TextDecoderStream())) {
      clearTimeout(timer);
      timer = setTimeout(() => silence.abort(), SILENCE_MS);
      const blocks = (text + chunk).split("\n\n");
      text = blocks.pop() ?? "";
      for (const block of blocks) {
        const fields = block.split("\n").map((line) => /^(\w*): ?(.*)$/.exec(line)?.slice(1) ?? []);
        yield Object.fromEntries(fields) as Event;
      }
    }
  } finally {
    clearTimeout(timer);
    silence.abort();
  }
}

/** Listens, and looks itself when a stream does not come or breaks off. */
async function waitForVerdict(location: URL, id: string): Promise<Ticket> {
  const url = `${location.origin}${location.pathname}/events${location.search}`;
  let lastEventId: string | undefined;
  for (let attempt = 0; ; attempt++) {
    try {
      for await (const { event, id, data = "" } of events(url, lastEventId)) {
        attempt = 0;
        lastEventId = id ?? lastEventId;
        if (event === "ticket") {
          const ticket = JSON.parse(data) as Ticket;
          if (ticket.status !== "processing") return ticket;
        } else if (event === "waiting_line") {
          const line = JSON.parse(data) as WaitingLine;
          console.error(`ahead: ${line.estimated_orders_ahead}`);
        }
      }
    } catch {
      // It broke off.
    }
    const { data, error } = await client.GET("/tickets/{id}", { params: { path: { id } } });
    if (error) throw new Refused(error);
    if (data.status !== "processing") return data;
    await pause(attempt);
  }
}

/** An answer that is final. Programs tell problems by `code`. */
class Refused extends Error {
  constructor(problem: components["schemas"]["Problem"]) {
    super(`${problem.code}: ${problem.detail}`);
  }
}

async function order(): Promise<Ticket> {
  // One key for one order, kept where a restart finds it: the same key is the same order.
  const key = randomUUID();
  const placed = await client.POST("/tickets", {
    params: { header: { "Idempotency-Key": key } },
    body: { show_id: show, user_id: user, quantity: Number(seats) },
  });
  if (placed.error) {
    switch (placed.error.code) {
      case "sales_closed":
      case "show_not_found":
      case "user_not_found":
        console.error("tell the buyer");
    }
    throw new Refused(placed.error);
  }
  const id = placed.data.ticket_id;
  const location = new URL(placed.response.headers.get("Location") ?? `/tickets/${id}`, base);
  const ticket = await waitForVerdict(location, id);
  if (ticket.status !== "reserved") return ticket;
  // Take the payment here, before `hold_expires_at`.
  const { data, error } = await client.POST("/tickets/{id}/confirm", { params: { path: { id } } });
  if (error) {
    if (error.code === "hold_expired") console.error("give the money back");
    throw new Refused(error);
  }
  return data;
}

try {
  const ticket = await order();
  console.log(JSON.stringify(ticket));
  process.exitCode = ticket.status === "confirmed" ? 0 : ticket.status === "rejected" ? 2 : 1;
} catch (error) {
  console.error(error instanceof Refused ? `refused, ${error.message}` : error);
  process.exitCode = 1;
}
