// The replicas as a table: one body of three rows for each. The second tells of trouble and is mostly hidden, the third
// has what there is no room for, and is shown when asked for.

/** Not what the chart shows, which has whole answers. */
const BEGINS = "time from choosing this replica until its answer began";

const COLUMNS = [
  { id: "name", label: "Replica" },
  { id: "state", label: "State" },
  { id: "share", label: "Share" },
  { id: "in_flight", label: "In flight", number: true },
  { id: "requests", label: "Requests", number: true },
  { id: "errors", label: "Errors", number: true, hint: "attempts that brought no answer, or not the whole of it" },
  { id: "p50", label: "Answer begins, p50", number: true, hint: BEGINS },
  { id: "p99", label: "Answer begins, p99", number: true, hint: BEGINS },
  { id: "heartbeat", label: "Last heartbeat" },
  { id: "relaunches", label: "Relaunches" },
  { id: "action", label: "Change" },
];

/** How many rows of details were made: a number for each, since names may hold what an id may not. */
let made = 0;

const keyOfReplica = (replica) => `${replica.ring_id} ${replica.name}`;

// A hint is for the pointer and, behind the label, for screen readers; the short form is what they say at each cell.
// The roles say again what the elements are, because narrow screens lay the table out as cards, and an element that
// is not laid out as a table is no table to a screen reader otherwise.
function makeTableHead() {
  for (const { label, number, hint } of COLUMNS) {
    const cell = make("th", { scope: "col", role: "columnheader", class: `${number ? "number" : ""} ${hint ? "hinted" : ""}` }, label);
    if (hint) {
      cell.title = hint;
      cell.abbr = label;
      cell.append(make("span", { class: "unseen" }, ` (${hint})`));
    }
    byId("replicas-head").append(cell);
  }
}

function updateTable(status) {
  const table = byId("replicas");
  const focused = table.contains(document.activeElement);
  syncChildren(table, status.replicas, keyOfReplica, makeReplica, (body, replica) => updateReplica(body, replica, status), table.tHead);
  // With a row its button is gone, and the focus with it: the keyboard goes on from the table's heading.
  if (focused && !table.contains(document.activeElement)) byId("replicas-heading").focus({ preventScroll: true });
  setHidden(byId("no-replicas"), status.replicas.length > 0);
}

function makeReplica(replica) {
  const row = make("tr", { role: "row", class: "main" });
  const cells = {};
  for (const column of COLUMNS) {
    cells[column.id] = column.id === "name" ? makeNameCell(replica) : makeCell(column);
    row.append(cells[column.id].cell);
  }
  cells.state.icon = draw("use");
  cells.state.cell.prepend(draw("svg", { class: "shape", viewBox: "0 0 12 12", "aria-hidden": "true" }, cells.state.icon));
  cells.share.bar = make("span", { class: "bar" });
  cells.share.main.after(make("span", { class: "bar-track", "aria-hidden": "true" }, cells.share.bar));
  makeRemoveButton(cells.action, replica.name);
  const trouble = make("td", { role: "cell", colspan: COLUMNS.length });
  const second = make("tr", { role: "row", class: "trouble", hidden: "" }, trouble);
  const more = makeMore(cells.relaunches, replica.name);
  const body = make("tbody", { role: "rowgroup", "data-id": replica.ring_id }, row, second, more.row);
  body.parts = { cells, second, trouble, more };
  return body;
}

/** The row of details, and its button beside the number of relaunches, which most of it is about. */
function makeMore(relaunches, name) {
  const id = `more-${(made += 1)}`;
  const facts = make("dl", { class: "facts" });
  const list = make("ol", { role: "list", "aria-label": `Latest relaunches of ${name}, newest first` });
  const none = make("p", { class: "muted" }, "It was not relaunched.");
  const heading = make("p", { class: "muted" }, "Latest relaunches, newest first, local time:");
  const cell = make("td", { role: "cell", colspan: COLUMNS.length }, facts, heading, list, none);
  const row = make("tr", { role: "row", class: "more", id, hidden: "" }, cell);
  const arrow = draw("svg", { viewBox: "0 0 10 10", "aria-hidden": "true", focusable: "false" }, draw("path", { d: "M3 1L7 5L3 9" }));
  const attributes = { type: "button", class: "quiet toggle", title: "Details", "aria-label": `Details of ${name}`, "aria-expanded": "false", "aria-controls": id };
  const button = make("button", attributes, arrow);
  button.addEventListener("click", () => {
    setHidden(row, !row.hidden);
    setAttribute(button, "aria-expanded", String(!row.hidden));
  });
  relaunches.main.after(button);
  return { row, facts, heading, list, none };
}

function makeNameCell(replica) {
  const main = make("span", { class: "value" }, replica.name);
  const sub = make("span", { class: "sub" });
  const cell = make("th", { scope: "row", role: "rowheader", "data-label": "Replica" }, makeChip(replica), main, sub);
  return { cell, main, sub };
}

function makeCell({ label, number }) {
  const main = make("span", { class: "value" });
  const sub = make("span", { class: "sub" });
  return { cell: make("td", { role: "cell", "data-label": label, class: number ? "number" : "" }, main, sub), main, sub };
}

function makeRemoveButton(action, name) {
  const button = make("button", { type: "button", class: "change remove", "aria-label": `Remove ${name}` }, "Remove");
  button.addEventListener("click", () => askToRemove(name));
  action.cell.replaceChildren(button);
}

function updateReplica(body, replica, status) {
  const { cells } = body.parts;
  setText(cells.name.sub, replica.address ?? "no address yet");
  setAttribute(cells.name.cell, "title", `ring id ${replica.ring_id}, instance ${replica.instance ?? "–"}`);
  updateState(cells.state, replica);
  updateShare(cells.share, replica, status);
  setValue(cells.in_flight.main, replica.in_flight, count);
  setValue(cells.requests.main, replica.requests, count, whyNoCount());
  setText(cells.requests.sub, replica.answers && replica.answers["5xx"] ? `${count(replica.answers["5xx"])} × 5xx` : "");
  setValue(cells.errors.main, replica.errors, count);
  setText(cells.errors.sub, replica.retries ? `${count(replica.retries)} retried` : "");
  setValue(cells.p50.main, replica.latency?.p50_ms, latency, whyNoLatency(replica));
  setValue(cells.p99.main, replica.latency?.p99_ms, latency, whyNoLatency(replica));
  updateHeartbeat(cells.heartbeat, replica.heartbeat);
  updateRelaunches(cells.relaunches, replica.relaunches);
  updateTrouble(body.parts, replica);
  updateMore(body.parts.more, replica);
}

function updateState(state, replica) {
  const look = stateClass(replica.state);
  setAttribute(state.icon, "href", `#shape-${look}`);
  setAttribute(state.cell, "class", `state ${look}`);
  setText(state.main, replica.state);
  setValue(state.sub, replica.since_ms, (since) => `for ${duration(since)}`);
}

function updateShare(share, replica, status) {
  setValue(share.main, replica.share, percent);
  share.bar.style.width = `${Math.min(100, (replica.share ?? 0) * 100)}%`;
  const slots = replica.owned_slots === null || !replica.slots.length ? "" : `${count(replica.owned_slots)} of ${count(status.slots)}`;
  setText(share.sub, [slots, replica.weight > 1 ? `weight ${replica.weight}` : ""].filter(Boolean).join(", "));
}

function updateHeartbeat(cell, heartbeat) {
  const result = heartbeat?.result ?? null;
  const missed = result === "missed";
  setValue(cell.main, result, () => (missed && heartbeat.streak > 1 ? `missed × ${count(heartbeat.streak)}` : result), NO_HEARTBEAT);
  setAttribute(cell.cell, "class", missed ? "bad" : null);
  const details = result === null ? [] : [
    isKnown(heartbeat.latency_ms) ? latency(heartbeat.latency_ms) : null,
    isKnown(heartbeat.ago_ms) ? `${duration(heartbeat.ago_ms)} ago` : null,
    missed ? heartbeat.why : null,
  ];
  setText(cell.sub, details.filter(Boolean).join(" · "));
}

function updateRelaunches(cell, relaunches) {
  setValue(cell.main, relaunches?.count, count);
  const latest = relaunches?.recent?.[0];
  setText(cell.sub, latest ? relaunchText(latest) : "");
}

function relaunchText({ at, reason, took_ms: took, ok }) {
  return `${clock(new Date(at))} ${ok ? "" : "failed: "}${reason}${isKnown(took) ? ` (${duration(took)})` : ""}`;
}

const NO_HEARTBEAT = "no heartbeat yet";
const whyNoCount = () => (series.measured ? undefined : UNMEASURED);
const whyNoLatency = (replica) => (replica.latency ? "no request in the last minute" : whyNoCount());

/** What the counts and times of the row mean, or why there are none: a title is not to be had on a phone or by keyboard. */
function explanations(replica) {
  const { count: n, window_s: seconds, p50_ms: p50, p99_ms: p99 } = replica.latency ?? {};
  const times = () => `p50 ${latency(p50)}, p99 ${latency(p99)} after it was chosen; ${plural(n, "request", "requests")} in ${seconds} s`;
  return [
    ["requests", isKnown(replica.requests) ? plural(replica.requests, "was answered", "were answered") : (whyNoCount() ?? "not known yet")],
    ["errors", `${plural(replica.errors, "attempt", "attempts")} that brought no answer, or not the whole of it`],
    ["answers begin", isKnown(p50) ? times() : (whyNoLatency(replica) ?? "not known yet")],
  ];
}

function updateMore({ facts, heading, list, none }, replica) {
  const at = replica.heartbeat?.at;
  const items = [
    ["ring id", String(replica.ring_id)],
    ["instance", replica.instance ?? "none runs now"],
    [`${replica.state} since`, replica.since ? clock(new Date(replica.since)) : "not known yet"],
    ["last heartbeat at", at ? clock(new Date(at)) : NO_HEARTBEAT],
    ["of its kind in a row", isKnown(replica.heartbeat?.streak) ? count(replica.heartbeat.streak) : NO_HEARTBEAT],
    ...explanations(replica),
  ];
  // By place, since the state is part of a name.
  syncChildren(facts, [...items.entries()], ([i]) => i, () => make("div", {}, make("dt"), make("dd")), (node, [, [name, value]]) => {
    setText(node.firstChild, name);
    setText(node.lastChild, value);
  });
  const recent = replica.relaunches?.recent ?? [];
  syncChildren(list, [...recent.entries()], ([i]) => i, () => make("li"), (node, [, relaunch]) => setText(node, relaunchText(relaunch)));
  setHidden(heading, recent.length === 0);
  setHidden(list, recent.length === 0);
  setHidden(none, recent.length > 0);
}

/** Failures in a row, the next try and the last error, while they are news. */
function updateTrouble({ second, trouble }, replica) {
  const away = replica.state === "failed" || replica.state === "crash loop";
  const parts = [];
  if (replica.failures > 0) parts.push(`${plural(replica.failures, "failure", "failures")} in a row`);
  if (isKnown(replica.next_try_ms)) parts.push(`next try in ${duration(replica.next_try_ms)}`);
  if (replica.last_error && (away || replica.failures > 0)) parts.push(replica.last_error);
  setText(trouble, parts.join(" · "));
  setHidden(second, parts.length === 0);
}
