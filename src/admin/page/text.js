"use strict";

// What every part uses: elements, and how numbers and times are written. Names, errors and event texts come from
// outside, so text only ever goes into a page as text: nothing here takes markup.

const SVG = "http://www.w3.org/2000/svg";

const byId = (id) => document.getElementById(id);

/** A new element with attributes and children (nodes or texts). */
function make(tag, attributes = {}, ...children) {
  return fill(document.createElement(tag), attributes, children);
}

/** The same for drawings. */
function draw(tag, attributes = {}, ...children) {
  return fill(document.createElementNS(SVG, tag), attributes, children);
}

function fill(node, attributes, children) {
  for (const [name, value] of Object.entries(attributes)) node.setAttribute(name, value);
  node.append(...children);
  return node;
}

/** Writes only what differs, so that a refresh disturbs neither a selection nor a screen reader. */
function setText(node, text) {
  if (node.textContent !== text) node.textContent = text;
}

function setAttribute(node, name, value) {
  if (value === null) node.removeAttribute(name);
  else if (node.getAttribute(name) !== value) node.setAttribute(name, value);
}

function setHidden(node, hidden) {
  if (node.hidden !== hidden) node.hidden = hidden;
}

const UNMEASURED = "not measured (--metrics off)";

const isKnown = (value) => value !== null && value !== undefined;

/** Writes a value, or a dash that says why there is none: to the eye when pointed at, to a screen reader in its place. */
function setValue(node, value, format, why = "not known yet") {
  setAttribute(node, "title", isKnown(value) ? null : why);
  if (isKnown(value)) return setText(node, format(value));
  if (node.lastElementChild?.textContent === why) return;
  node.replaceChildren(make("span", { "aria-hidden": "true" }, "–"), make("span", { class: "unseen" }, why));
}

/**
 * Gives `parent` the children of `items` in their order, and reuses those it has by key: what has the focus, or is
 * being read, stays the same element in the same place. They come behind the child `after`, if there is one.
 */
function syncChildren(parent, items, keyOf, create, update, after = null) {
  const known = (parent.known ??= new Map());
  const wanted = new Set(items.map(keyOf));
  for (const [key, node] of known) {
    if (!wanted.has(key)) {
      node.remove();
      known.delete(key);
    }
  }
  let next = after ? after.nextSibling : parent.firstChild;
  for (const item of items) {
    const key = keyOf(item);
    let node = known.get(key);
    if (!node) {
      node = create(item);
      known.set(key, node);
    }
    if (node === next) next = next.nextSibling;
    else parent.insertBefore(node, next);
    update(node, item);
  }
}

const count = (n) => n.toLocaleString("en");

/** A number short enough for a column: two or three digits that count. */
function short(n) {
  if (n === 0 || Number.isInteger(n)) return count(n);
  if (Math.abs(n) >= 100) return count(Math.round(n));
  return String(Number(n.toPrecision(Math.abs(n) >= 10 ? 3 : 2)));
}

const perSecond = (n) => `${short(n)}/s`;

const percent = (part) => `${(part * 100).toFixed(1)} %`;

/** Milliseconds as a latency, in the unit that reads best. */
function latency(ms) {
  return ms >= 999.5 ? `${short(ms / 1000)} s` : `${short(ms)} ms`;
}

/** Milliseconds as an age or a pause, without digits that nobody needs. */
function duration(ms) {
  const seconds = Math.max(0, ms) / 1000;
  if (seconds < 10) return `${seconds.toFixed(1)} s`;
  if (seconds < 60) return `${Math.floor(seconds)} s`;
  const minutes = Math.floor(seconds / 60);
  if (minutes < 60) return `${minutes} min ${Math.floor(seconds % 60)} s`;
  const hours = Math.floor(minutes / 60);
  if (hours < 48) return `${hours} h ${minutes % 60} min`;
  return `${Math.floor(hours / 24)} d ${hours % 24} h`;
}

const pad = (n) => String(n).padStart(2, "0");

/** A moment as the visitor's clock has it; with its day unless that is today. */
function clock(date) {
  if (Number.isNaN(date.getTime())) return "–";
  const time = [date.getHours(), date.getMinutes(), date.getSeconds()].map(pad).join(":");
  if (date.toDateString() === new Date().toDateString()) return time;
  return `${date.getFullYear()}-${pad(date.getMonth() + 1)}-${pad(date.getDate())} ${time}`;
}

/** What a failure says, without the mark that every failure begins with. */
const errorText = (message) => String(message).replace(/^<Error>\s*/, "");

const plural = (n, one, many) => `${count(n)} ${n === 1 ? one : many}`;

/** The state as the shapes and colours of the page know it. */
const STATES = ["serving", "starting", "draining", "failed", "crash loop"];
const stateClass = (state) => (STATES.includes(state) ? state.replace("crash loop", "loop") : "other");
