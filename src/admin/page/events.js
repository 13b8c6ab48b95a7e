// The list of events, newest first, and saying the important ones aloud.

/** As many as the balancer itself keeps. */
const MOST_EVENTS = 1000;

/** Kinds that a screen reader interrupts its user's silence for, the worst first. */
const IMPORTANT = ["panic", "crash loop", "failed", "launch failed", "panic over", "relaunched", "recovered"];
const BAD = new Set(["failed", "crash loop", "launch failed", "panic", "change failed", "request failed", "refused"]);
const GOOD = new Set(["relaunched", "recovered", "joined", "panic over", "adopted"]);

const events = { last: null };

/** What is to be said at the end of this round. */
const sayings = [];

function clearEvents() {
  events.last = null;
  byId("events").replaceChildren();
}

function addEvents(message) {
  // The first answer of a run tells the past; only what comes after it is news.
  const first = events.last === null;
  const fresh = message.events.filter((event) => first || event.seq > events.last);
  events.last = Math.max(events.last ?? 0, message.last, ...fresh.map((event) => event.seq));
  if (!fresh.length) return;
  const list = byId("events");
  const items = fresh.map(makeEvent);
  list.prepend(...items.reverse());
  while (list.children.length > MOST_EVENTS) list.lastChild.remove();
  filterEvents(items);
  if (!first) sayEvents(fresh);
}

function makeEvent(event) {
  const tone = BAD.has(event.kind) ? "bad" : GOOD.has(event.kind) ? "good" : "plain";
  const time = make("time", { datetime: event.time, title: event.time }, clock(new Date(event.time)));
  const kind = make("span", { class: `kind ${tone}` }, event.kind);
  const text = make("span", { class: "text" });
  if (event.replica) text.append(make("b", {}, event.replica), " ");
  text.append(event.text ?? "");
  if (event.request_id) text.append(" ", make("code", { title: "request id" }, event.request_id));
  return make("li", { "data-kind": event.kind }, time, " ", kind, " ", text);
}

function sayEvents(fresh) {
  const rank = (event) => IMPORTANT.indexOf(event.kind);
  const worstFirst = fresh.filter((event) => rank(event) >= 0).sort((a, b) => rank(a) - rank(b));
  const said = worstFirst.map((event) => `${event.replica ?? ""} ${event.kind}`.trim());
  // A whole fleet that fails would be read out for minutes.
  if (said.length > 3) said.splice(3, said.length, `and ${said.length - 3} more events`);
  if (said.length) announce(said.join(", "));
}

function announce(text) {
  sayings.push(text);
}

/** All at once: a text that the next one replaces in the same moment is never read out. */
function sayAll() {
  if (sayings.length) byId("announcer").textContent = `${sayings.splice(0).join(". ")}.`;
}

function filterEvents(items) {
  const words = byId("events-filter").value.trim().toLowerCase();
  for (const item of items) setHidden(item, words !== "" && !item.textContent.toLowerCase().includes(words));
  setHidden(byId("no-events"), byId("events").querySelector("li:not([hidden])") !== null);
}

function startFilter() {
  byId("events-filter").addEventListener("input", () => filterEvents(byId("events").children));
}
