// The ring: who answers for which slots now. Schemes without slots are drawn as a ring of shares.

const CENTRE = 200;
const BAND = [126, 164];
const TICK = [167, 179];
const COLOURS = 12;
const PATTERNS = 5;

/**
 * The fill of a replica. Colour and pattern each follow from the ring id alone, so a replica keeps them for life; and
 * since 12 and 5 have no common factor, the first 60 ids all look different, neighbours in both respects.
 */
function fillOf(ringId) {
  const look = Math.abs(ringId) % (COLOURS * PATTERNS);
  const id = `fill-${look}`;
  if (!byId(id)) byId("fills").append(makePattern(id, look % COLOURS, look % PATTERNS));
  return `url(#${id})`;
}

const colourClass = (ringId) => `colour-${(Math.abs(ringId) % (COLOURS * PATTERNS)) % COLOURS}`;

function makePattern(id, colour, kind) {
  const overlay = [
    [],
    [draw("path", { d: "M0 8L8 0M-2 2L2 -2M6 10L10 6" })],
    [draw("circle", { cx: 2, cy: 2, r: 1.1 }), draw("circle", { cx: 6, cy: 6, r: 1.1 })],
    [draw("path", { d: "M0 4H8" })],
    [draw("path", { d: "M0 0L8 8M0 8L8 0" })],
  ][kind];
  return draw(
    "pattern",
    { id, class: `colour-${colour}`, width: 8, height: 8, patternUnits: "userSpaceOnUse" },
    draw("rect", { width: 8, height: 8, class: "base" }),
    draw("g", { class: "overlay" }, ...overlay),
  );
}

/** The small sign that stands for a replica in lists: its fill and its ring id. */
function makeChip(replica) {
  const label = draw("text", { x: 13, y: 13, class: "mark" }, String(replica.ring_id));
  const box = draw("rect", { width: 26, height: 18, rx: 4, fill: fillOf(replica.ring_id) });
  const attributes = { class: `chip ${colourClass(replica.ring_id)}`, viewBox: "0 0 26 18", "aria-hidden": "true", focusable: "false" };
  return draw("svg", attributes, box, label);
}

/**
 * The arcs as `[first slot, number of slots, replica]`: a slot that is nobody's, or whose replica does not serve,
 * belongs to the next one clockwise that has been taken by a replica which serves.
 */
function arcsOfSlots(replicas, slots) {
  const owners = new Map();
  for (const replica of replicas) {
    if (replica.state === "serving") for (const slot of replica.slots) owners.set(slot, replica);
  }
  const taken = [...owners.keys()].sort((a, b) => a - b);
  const arcs = [];
  taken.forEach((slot, i) => {
    const before = i === 0 ? taken[taken.length - 1] - slots : taken[i - 1];
    const last = arcs[arcs.length - 1];
    if (last && last[2] === owners.get(slot)) last[1] += slot - before;
    else arcs.push([before + 1, slot - before, owners.get(slot)]);
  });
  return arcs;
}

/** Shares as arcs, in parts of one. */
function arcsOfShares(replicas) {
  const serving = replicas.filter((replica) => replica.state === "serving" && replica.share > 0);
  const whole = serving.reduce((sum, replica) => sum + replica.share, 0);
  let from = 0;
  return serving.map((replica) => {
    const part = replica.share / whole;
    from += part;
    return [from - part, part, replica];
  });
}

/** A point at `part` of the way round, clockwise from the top. */
function polar(part, radius) {
  const angle = part * 2 * Math.PI;
  return [CENTRE + radius * Math.sin(angle), CENTRE - radius * Math.cos(angle)].map((x) => x.toFixed(2));
}

function bandPath(from, to) {
  // A path from a point to itself draws nothing, so the whole circle is left open by a hair.
  const end = Math.min(to, from + 0.99999);
  const large = end - from > 0.5 ? 1 : 0;
  const [inner, outer] = BAND;
  return `M${polar(from, outer)}A${outer} ${outer} 0 ${large} 1 ${polar(end, outer)}`
    + `L${polar(end, inner)}A${inner} ${inner} 0 ${large} 0 ${polar(from, inner)}Z`;
}

function drawArc([from, length, replica], whole) {
  const part = length / whole;
  // A gap beside an arc of a slot or two would leave nothing of it.
  const attributes = { class: part < 0.006 ? "arc thin" : "arc", "data-id": replica.ring_id, d: bandPath(from / whole, (from + length) / whole), fill: fillOf(replica.ring_id) };
  const arc = draw("g", { class: colourClass(replica.ring_id), "data-id": replica.ring_id }, draw("path", attributes));
  arc.append(draw("title", {}, whole === 1 ? `${replica.name}: ${percent(part)}` : `${replica.name}: ${plural(length, "slot", "slots")} from ${(from + whole) % whole}`));
  // Below this the number would not fit between the ends of the arc.
  if (part > 0.017) {
    const [x, y] = polar((from + length / 2) / whole, (BAND[0] + BAND[1]) / 2);
    arc.append(draw("text", { class: "mark", x, y, dy: "0.35em" }, String(replica.ring_id)));
  }
  return arc;
}

function drawTicks(replica, slots) {
  const serves = replica.state === "serving";
  const d = replica.slots.map((slot) => {
    const part = (slot + 0.5) / slots;
    return `M${polar(part, TICK[0])}L${polar(part, serves ? TICK[1] : TICK[1] - 4)}`;
  });
  const attributes = { class: `tick ${serves ? colourClass(replica.ring_id) : "away"}`, "data-id": replica.ring_id, d: d.join("") };
  return draw("path", attributes);
}

function drawScale(slots) {
  return [0, 1, 2, 3].map((quarter) => {
    const [x, y] = polar(quarter / 4, TICK[1] + 11);
    return draw("text", { class: "scale", x, y, dy: "0.35em" }, String(Math.round((quarter * slots) / 4)));
  });
}

const ring = { drawn: "", bySlots: false, lit: null };

function updateRing(status) {
  const replicas = status.replicas;
  // One that has left says no good-bye to the pointer.
  if (ring.lit !== null && !replicas.some((replica) => replica.ring_id === ring.lit)) lightUp(null);
  // Only what the drawing shows: a refresh that changes none of it leaves the drawing alone.
  const looks = JSON.stringify([status.slots, status.scheme, replicas.map((r) => [r.ring_id, r.name, r.state, r.slots, r.slots.length ? 0 : r.share])]);
  if (looks !== ring.drawn) {
    ring.drawn = looks;
    redrawRing(status);
  }
  updateCentre(status);
  syncChildren(byId("legend"), replicas, keyOfReplica, makeLegendItem, updateLegendItem);
  letLegendScroll();
}

/** A long legend scrolls, and what scrolls must be reached by keyboard; what does not would be a stop for nothing. */
function letLegendScroll() {
  const box = byId("legend-box");
  const scrolls = box.scrollHeight > box.clientHeight + 1;
  setAttribute(box, "tabindex", scrolls ? "0" : null);
  setAttribute(box, "role", scrolls ? "region" : null);
  setAttribute(box, "aria-label", scrolls ? "Who answers for how much" : null);
}

function redrawRing({ replicas, slots, scheme }) {
  ring.bySlots = slots > 0 && replicas.some((replica) => replica.slots.length > 0);
  const arcs = ring.bySlots ? arcsOfSlots(replicas, slots) : arcsOfShares(replicas);
  const middle = (BAND[0] + BAND[1]) / 2;
  const track = draw("circle", { class: "track", cx: CENTRE, cy: CENTRE, r: middle, "stroke-width": BAND[1] - BAND[0] });
  const parts = [track, ...arcs.map((arc) => drawArc(arc, ring.bySlots ? slots : 1))];
  if (ring.bySlots) {
    // Those that are away first, so that no living tick is hidden by one of theirs.
    const order = [...replicas].sort((a, b) => (a.state === "serving") - (b.state === "serving"));
    parts.push(...order.map((replica) => drawTicks(replica, slots)), ...drawScale(slots));
  }
  parts.push(draw("text", { id: "ring-main", class: "centre", x: CENTRE, y: CENTRE - 4 }));
  parts.push(draw("text", { id: "ring-sub", class: "centre-sub", x: CENTRE, y: CENTRE + 22 }));
  byId("ring").replaceChildren(...parts);
  setText(byId("ring-note"), ring.bySlots
    ? `${count(slots)} slots, clockwise. Band: who answers for them now. Ticks: each replica's own places, grey while it is away.`
    : `Scheme ${scheme} has no slots to draw: the band shows each serving replica's share.`);
  lightUp(ring.lit);
}

/** The middle tells of all, or of the replica that is pointed at. */
function updateCentre(status) {
  const lit = status.replicas.find((replica) => replica.ring_id === ring.lit);
  setText(byId("ring-main"), lit ? clip(lit.name, 18) : `${status.serving} / ${status.N}`);
  setAttribute(byId("ring-main"), "class", lit ? "centre named" : "centre");
  setText(byId("ring-sub"), lit ? shareText(lit) : status.panic ? "serving, in panic" : "serving");
}

const clip = (text, most) => (text.length > most ? `${text.slice(0, most - 1)}…` : text);

function shareText(replica) {
  if (replica.state !== "serving") return replica.state;
  return replica.share === null ? "–" : percent(replica.share);
}

function makeLegendItem(replica) {
  const item = make("li", { "data-id": replica.ring_id });
  item.append(makeChip(replica), make("span", { class: "name", title: replica.name }, replica.name), make("span", { class: "share" }));
  return item;
}

function updateLegendItem(item, replica) {
  const slots = ring.bySlots && replica.state === "serving" && replica.owned_slots !== null ? `, ${plural(replica.owned_slots, "slot", "slots")}` : "";
  setText(item.lastChild, `${shareText(replica)}${slots}`);
}

/** Makes one replica stand out in the ring and in the lists; null for none. */
function lightUp(ringId) {
  ring.lit = ringId;
  const lit = ringId === null ? null : String(ringId);
  for (const list of [byId("ring"), byId("legend"), byId("replicas")]) {
    list.classList.toggle("has-lit", lit !== null);
    for (const node of list.querySelectorAll("[data-id]")) node.classList.toggle("lit", node.getAttribute("data-id") === lit);
  }
}

/** Pointing at a replica anywhere lights it up everywhere; so does the focus of its button. */
function startLighting(current) {
  const follow = (event) => {
    const owner = event.target instanceof Element ? event.target.closest("[data-id]") : null;
    const ringId = owner ? Number(owner.getAttribute("data-id")) : null;
    if (ringId === ring.lit) return;
    lightUp(ringId);
    if (current()) updateCentre(current());
  };
  const leave = () => follow({ target: null });
  for (const part of [byId("ring"), byId("legend"), byId("replicas")]) {
    part.addEventListener("pointerover", follow);
    part.addEventListener("pointerleave", leave);
    part.addEventListener("focusin", follow);
    part.addEventListener("focusout", leave);
  }
}
