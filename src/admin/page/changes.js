// Adding and removing replicas: one change at a time, asked for twice where it takes something away.

/** A change waits for replicas to start, or for requests to end; nobody should wait longer for word of it. */
const CHANGE_MS = 5 * 60_000;

const UNKNOWN = "It is not known whether the change was made: the table shows what has become of it.";

/** `latest` stands for the change asked for last, also when nobody waits for its answer any more. */
const changes = { busy: null, latest: null, blocked: "", removing: null };

/**
 * Why nothing can be changed now; "" when it can. Buttons that may not be pressed stay where the keyboard finds them
 * and say why, instead of losing the focus that they may have.
 */
function reasonAgainst(link, status) {
  if (changes.busy) return changes.busy;
  if (link !== "live") return "No change can be made until the balancer answers again.";
  if (status.may_change) return "";
  return status.settings?.launcher === "static"
    ? "These servers are given by --backends (launcher static): the balancer neither starts nor stops any."
    : "The balancer takes no changes from here.";
}

function updateChanges(link, status) {
  changes.blocked = reasonAgainst(link, status);
  const blocked = changes.blocked !== "";
  const reason = byId("change-reason");
  setText(reason, changes.blocked);
  reason.classList.toggle("busy", changes.busy !== null);
  for (const button of document.querySelectorAll("button.change, #add-button, #remove-yes")) {
    setAttribute(button, "aria-disabled", blocked ? "true" : null);
    setAttribute(button, "title", blocked ? changes.blocked : null);
    if (button.id !== "remove-yes") setAttribute(button, "aria-describedby", blocked ? "change-reason" : null);
  }
  setText(byId("remove-reason"), changes.removing ? changes.blocked : "");
}

/** The names of a list with commas; what is empty between them is left out. */
const namesOf = (text) => text.split(",").map((name) => name.trim()).filter(Boolean);

async function addReplicas(event) {
  event.preventDefault();
  if (changes.blocked) return;
  const n = Number(byId("add-n").value);
  const hostnames = namesOf(byId("add-names").value);
  const body = hostnames.length ? { n, hostnames } : { n };
  const done = await change("POST", "../add", body, `Adding ${plural(n, "replica", "replicas")}: this takes until they serve …`, "Added");
  if (done) byId("add").reset();
}

function askToRemove(name) {
  if (changes.blocked) return;
  changes.removing = name;
  setText(byId("remove-heading"), `Remove ${name}?`);
  setText(byId("remove-reason"), "");
  byId("remove").showModal();
}

async function removeReplica() {
  if (changes.blocked) return;
  const name = changes.removing;
  byId("remove").close();
  await change("DELETE", "../rm", { n: 1, hostnames: [name] }, `Removing ${name}: this takes until its requests are finished …`, "Removed");
}

/** Asks for a change and tells how it went; true when it was made. */
async function change(method, path, body, doing, done) {
  const own = (changes.latest = {});
  changes.busy = doing;
  showResult("", "");
  refreshControls();
  try {
    const headers = { "Content-Type": "application/json" };
    const message = await ask(path, { method, headers, body: JSON.stringify(body), limit: CHANGE_MS });
    if (changes.latest !== own) return false;
    showResult("good", `${done}. ${plural(message.N, "replica", "replicas")} now: ${message.replicas.join(", ")}`);
    return true;
  } catch (error) {
    if (error.status === 401) wantToken();
    else if (changes.latest === own) showResult("bad", whyNotChanged(error));
    return false;
  } finally {
    if (changes.latest === own) changes.busy = null;
    pollNow();
  }
}

function whyNotChanged(error) {
  // What stands between may give up on a balancer that goes on with the change.
  if (error.status && !(error.foreign && (error.status >= 500 || error.status < 300))) {
    return `${error.status >= 500 ? "Failed" : "Refused"}: ${error.message}`;
  }
  if (error.late) return `No answer came within ${duration(CHANGE_MS)}. ${UNKNOWN}`;
  return `${error.status ? `There was an ${error.message}` : "The connection broke before the answer came"}. ${UNKNOWN}`;
}

/** With the link, a change may be lost as well, and its request may never end: its answer is not waited for. */
function doubtChange() {
  if (!changes.busy) return;
  changes.busy = null;
  showResult("bad", `The connection was lost before the answer came. ${UNKNOWN}`);
}

function showResult(tone, text) {
  setAttribute(byId("change-result"), "class", `result ${tone}`);
  setText(byId("change-result"), text);
}

function startChanges() {
  byId("add").addEventListener("submit", addReplicas);
  byId("remove-no").addEventListener("click", () => byId("remove").close());
  byId("remove-yes").addEventListener("click", removeReplica);
  byId("remove").addEventListener("close", () => (changes.removing = null));
}
