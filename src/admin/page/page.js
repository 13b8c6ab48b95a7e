// Asking the balancer each second, and never showing an old answer as if it were of now.

const PERIOD_MS = 1000;
/** Nobody looks at a hidden page, but its title may be in sight. */
const HIDDEN_PERIOD_MS = 10_000;
/** A request that takes longer counts as failed: for one alone, so that a slow link sees something too. */
const REQUEST_MS = 5000;
/** Answers older than this are marked as old, whatever the reason is. */
const OLD_MS = 4000;
/** Browsers let the timers of a page that is hidden for long run once a minute only: that is no trouble. */
const HIDDEN_OLD_MS = 75_000;
const TOKEN_KEY = "ringmaster-token";
/** What is to be said beside the form for the token after the page was loaded anew. */
const NOTE_KEY = "ringmaster-note";

const page = {
  link: "connecting", // "connecting" | "live" | "lost" | "locked": a token is wanted
  status: null, // the last one
  asOf: 0, // when it was asked for: what it tells may be as old as that
  why: "", // why the link is lost
  round: null, // the round under way
  timer: null,
  tokenTried: false, // a token has just been entered
};

const token = () => sessionStorage.getItem(TOKEN_KEY);

/** One request; gives the message of a success, and throws what a failure says, with its status. */
async function ask(path, { limit = REQUEST_MS, ...options } = {}) {
  const headers = { Accept: "application/json", ...options.headers };
  if (token()) headers.Authorization = `Bearer ${token()}`;
  const { response, text } = await fetchText(path, { ...options, headers, cache: "no-store", redirect: "error" }, limit);
  const envelope = parseEnvelope(text);
  if (response.ok && envelope?.status === "successful") return envelope.message;
  const failure = new Error(envelope ? errorText(envelope.message) : `answer ${response.status} that is not the balancer's`);
  failure.status = response.status;
  failure.foreign = !envelope;
  throw failure;
}

async function fetchText(path, { signal, ...options }, limit) {
  const controller = new AbortController();
  const stop = () => controller.abort();
  let late = false;
  const timer = setTimeout(() => {
    late = true;
    stop();
  }, limit);
  signal?.addEventListener("abort", stop);
  try {
    const response = await fetch(path, { ...options, signal: controller.signal });
    return { response, text: await response.text() };
  } catch (error) {
    throw Object.assign(new Error("it does not answer", { cause: error }), { unreachable: true, late });
  } finally {
    clearTimeout(timer);
    signal?.removeEventListener("abort", stop);
  }
}

function parseEnvelope(text) {
  try {
    const value = JSON.parse(text);
    return typeof value === "object" && value !== null && "message" in value ? value : null;
  } catch {
    return null;
  }
}

/** One round: the status first, since it tells whether events and history are still those of the same run. */
async function round(signal) {
  const asked = Date.now();
  const status = await ask("status", { signal });
  const restarted = page.status !== null && page.status.started !== status.started;
  const since = (path, last) => (restarted || last === null ? path : `${path}?after=${last}`);
  const [eventsMessage, history] = await Promise.all([
    ask(since("events", events.last), { signal }),
    ask(since("history", lastSecond()), { signal }),
  ]);
  // Started anew between these requests: the answers are of two runs, and the next round asks for those of one.
  const foreign = [eventsMessage, history].some(({ started }) => (started ?? status.started) !== status.started);
  if (foreign || (!restarted && events.last !== null && eventsMessage.last < events.last)) return;
  if (restarted) {
    clearEvents();
    clearHistory();
    announce("The balancer was started anew");
  }
  show(status, eventsMessage, history, asked);
}

function show(status, eventsMessage, history, asked) {
  if (page.link === "lost") announce("Connected again");
  page.status = status;
  page.asOf = asked;
  page.link = "live";
  page.why = "";
  page.tokenTried = false;
  setHidden(byId("token"), true);
  setHidden(byId("data"), false);
  addEvents(eventsMessage);
  addHistory(history);
  updateHeader(status);
  updateTable(status);
  updateRing(status);
  updateTotals(status);
  updateSettings(status);
  updateCharts();
  refreshControls();
  sayAll();
}

// One round at a time: the next is planned only when this one has ended, in whatever way.
async function poll() {
  if (page.round || page.link === "locked") return;
  clearTimeout(page.timer);
  const begun = performance.now();
  const wasHidden = document.hidden;
  const controller = new AbortController();
  page.round = controller;
  let period = null;
  try {
    await round(controller.signal);
  } catch (error) {
    if (error.status === 401) wantToken();
    // Where the visitor has just come back to the page, the browser may have cut off the round: that says nothing.
    else if (wasHidden && !document.hidden) period = 0;
    else loseLink(error);
  } finally {
    // The other request of a failed round is not worth waiting for.
    controller.abort();
    page.round = null;
  }
  period ??= document.hidden ? HIDDEN_PERIOD_MS : PERIOD_MS;
  planPoll(Math.max(100, period - (performance.now() - begun)));
}

function planPoll(wait) {
  clearTimeout(page.timer);
  if (page.link !== "locked") page.timer = setTimeout(poll, wait);
}

function pollNow() {
  refreshControls();
  poll();
}

function loseLink(error) {
  if (page.status && page.link !== "lost") announce("Connection lost. What is shown is old");
  page.link = "lost";
  page.why = whyLost(error);
  doubtChange();
  refreshControls();
  sayAll();
}

function whyLost(error) {
  if (error.status) return `it says: ${error.message}`;
  if (error.late) return "no answer in time";
  if (error.unreachable) return "it does not answer";
  // A fault of this page, or an answer of another version.
  console.error(error);
  return "its answer was not understood";
}

/** Whether what is shown may be taken for the present. */
function isCurrent() {
  return page.link === "live" && Date.now() - page.asOf < (document.hidden ? HIDDEN_OLD_MS : OLD_MS);
}

/** Everything about the page that depends on the link and the clock, not on new data. */
function refreshControls() {
  const link = page.link === "live" && !isCurrent() ? "lost" : page.link;
  const stale = page.status !== null && link === "lost";
  document.body.classList.toggle("stale", stale);
  setAttribute(byId("freshness"), "data-state", link);
  setText(byId("freshness"), freshnessText(link));
  setHidden(byId("stale"), !stale);
  if (stale) setText(byId("stale"), `Old data, as of ${ageText()}. ${page.why ? `Reconnecting… The balancer cannot be asked: ${page.why}.` : "The next answer takes long."}`);
  setHidden(byId("forget"), !token());
  document.title = titleText(link);
  if (page.status) updateChanges(link, page.status);
}

function freshnessText(link) {
  if (link === "live") return `live, as of ${clock(new Date(page.asOf))}`;
  if (link === "locked") return "locked";
  if (!page.status) return `waiting for the first answer…${page.why ? ` ${page.why}` : ""}`;
  return `${linkWord()} as of ${ageText()}`;
}

/** Where no request has failed, the answer is only slow. */
const linkWord = () => (page.status && page.why ? "reconnecting…" : "waiting…");

function ageText() {
  return `${clock(new Date(page.asOf))}, ${Math.round((Date.now() - page.asOf) / 1000)} s ago`;
}

// Trouble first: a tab shows few letters.
function titleText(link) {
  if (link === "locked") return "Ringmaster";
  if (link !== "live") return `${linkWord()} – Ringmaster`;
  return `${page.status.panic ? "PANIC · " : ""}${page.status.serving}/${page.status.N} serving – Ringmaster`;
}

function updateHeader(status) {
  setText(byId("version"), `version ${status.version}`);
  setHidden(byId("facts"), false);
  const replicas = byId("fact-replicas");
  setText(replicas, `${count(status.serving)} of ${count(status.N)} serving${status.panic ? ", in panic" : ""}`);
  setAttribute(replicas, "class", status.panic || status.serving < status.N ? "bad" : "good");
  setValue(byId("fact-uptime"), status.uptime_ms === null ? null : Math.floor(status.uptime_ms / 1000) * 1000, (ms) => duration(ms).replace(".0 s", " s"));
  setAttribute(byId("fact-uptime"), "title", `started ${clock(new Date(status.started))}`);
  setText(byId("fact-policy"), status.policy);
  setText(byId("fact-scheme"), status.scheme);
  setHidden(byId("panic"), !status.panic);
}

function updateTotals({ totals }) {
  const refused = totals.refused ? Object.values(totals.refused).reduce((sum, n) => sum + n, 0) : null;
  const answers = totals.answers ?? {};
  const items = [
    ["requests", totals.requests],
    ...["2xx", "3xx", "4xx", "5xx"].map((kind) => [kind, answers[kind]]),
    ["retries", totals.retries],
    ["refused", refused],
    ["in flight", totals.in_flight],
    ["queued", totals.queued],
    ["connections", totals.connections],
  ];
  syncChildren(byId("totals"), items, ([name]) => name, ([name]) => make("div", {}, make("dt", {}, name), make("dd")),
    (node, [, value]) => setValue(node.lastChild, value, count, series.measured ? undefined : UNMEASURED));
}

function updateSettings({ settings }) {
  syncChildren(byId("settings"), Object.entries(settings ?? {}), ([name]) => name, ([name]) => make("div", {}, make("dt", {}, name), make("dd")),
    (node, [, value]) => setText(node.lastChild, String(value) || "(empty)"));
}

/**
 * Asks for a token. What was shown before is nothing that this visitor may see any more: the page is loaded afresh,
 * so that nothing of it stays anywhere.
 */
function wantToken() {
  const refused = token() !== null;
  const note = !refused ? "" : page.tokenTried ? "This token is wrong." : "The token of this tab is no longer accepted.";
  sessionStorage.removeItem(TOKEN_KEY);
  page.link = "locked";
  page.tokenTried = false;
  clearTimeout(page.timer);
  if (page.status) {
    sessionStorage.setItem(NOTE_KEY, note);
    setHidden(byId("data"), true);
    location.reload();
    return;
  }
  setHidden(byId("token"), false);
  setText(byId("token-error"), note || (sessionStorage.getItem(NOTE_KEY) ?? ""));
  sessionStorage.removeItem(NOTE_KEY);
  refreshControls();
  byId("token-input").focus();
}

function useToken(event) {
  event.preventDefault();
  const entered = byId("token-input").value.trim();
  if (!entered) return;
  // Others cannot be sent in a header at all.
  if (!/^[\x21-\x7e]+$/.test(entered)) return setText(byId("token-error"), "A token has neither blanks nor letters outside ASCII.");
  byId("token-input").value = "";
  setText(byId("token-error"), "");
  sessionStorage.setItem(TOKEN_KEY, entered);
  page.tokenTried = true;
  page.link = "connecting";
  page.why = "";
  pollNow();
}

/** Afresh, so that nothing of what the token has shown stays in the page. */
function forgetToken() {
  sessionStorage.removeItem(TOKEN_KEY);
  location.reload();
}

function startPage() {
  makeTableHead();
  makeCharts();
  startChanges();
  startFilter();
  startLighting(() => page.status);
  byId("token-form").addEventListener("submit", useToken);
  byId("forget").addEventListener("click", forgetToken);
  // Whoever comes back sees old data marked within a second, and mostly new data before that.
  document.addEventListener("visibilitychange", () => (document.hidden ? planPoll(HIDDEN_PERIOD_MS) : poll()));
  // Ages grow also while nothing comes.
  setInterval(refreshControls, PERIOD_MS);
  // Where the page itself came as a refusal, so would the answers without a token: there is no need to ask for them.
  if (document.body.dataset.tokenWanted === "yes" && !token()) wantToken();
  else pollNow();
}

startPage();
