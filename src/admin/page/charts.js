// Three charts of the last five minutes, drawn in pixels so that text keeps its size at any width.

const SPAN = 300;
const MARGIN = { left: 46, right: 10, top: 8, bottom: 20 };

const CHARTS = [
  { id: "requests", title: "Requests per second", unit: perSecond, series: [{ key: "requests", name: "requests", form: "area" }] },
  { id: "errors", title: "Errors (5xx) per second", unit: perSecond, series: [{ key: "errors", name: "errors", form: "bars" }] },
  { id: "latency", title: "Whole answer", unit: latency, series: [{ key: "p50_ms", name: "p50", form: "line" }, { key: "p99_ms", name: "p99", form: "dashed" }] },
];

/** How far a key moves the second that is pointed at. */
const STEPS = { ArrowLeft: 1, ArrowRight: -1, ArrowDown: 1, ArrowUp: -1, PageDown: 15, PageUp: -15, Home: SPAN, End: -SPAN };

/**
 * Samples by second, the second that the right edge stands for, when second 0 was, and whether requests are counted and
 * timed at all. A sample may be of several seconds, the last of which it is named by.
 */
const series = { now: 0, samples: [], begun: 0, measured: true };

function clearHistory() {
  series.now = 0;
  series.samples = [];
  // A second of another run is none of the next one, which has no second 0.
  for (const chart of CHARTS) if (chart.chosen !== null) chart.chosen = 0;
}

const lastSecond = () => (series.samples.length ? series.samples[series.samples.length - 1].second : null);
const firstSecond = () => (series.samples.length ? Math.max(beginOf(series.samples[0]), series.now - SPAN) : null);

/** The first second that a sample is of. */
const beginOf = ({ second, span }) => second - span + 1;

/** Takes in what is new; what has left the window is forgotten. */
function addHistory(history) {
  const last = lastSecond() ?? -1;
  series.now = history.now;
  series.begun = Date.parse(history.started);
  series.measured = history.measured !== false;
  const all = series.samples.concat(history.samples.filter((sample) => sample.second > last).map(perSecondOf));
  series.samples = all.filter((sample) => sample.second >= series.now - SPAN);
}

/** A sample with rates in place of its counts, which are of all its seconds together. */
const perSecondOf = (sample) => ({ ...sample, requests: sample.requests / sample.span, errors: sample.errors / sample.span });

/** The smallest of 1, 2, 5 × 10ⁿ that is not less. */
function niceMaximum(value) {
  if (!(value > 0)) return 1;
  const power = 10 ** Math.floor(Math.log10(value));
  return [1, 2, 5, 10].map((step) => step * power).find((step) => step >= value * 0.9999);
}

function makeCharts() {
  for (const chart of CHARTS) {
    // What the pointer is at, as seconds before the right edge, and the second that was chosen by key.
    Object.assign(chart, { ago: null, chosen: null });
    const svg = draw("svg", { "aria-hidden": "true", focusable: "false" });
    chart.grid = draw("g", { class: "grid" });
    chart.floor = draw("path", { class: "floor" });
    chart.paths = chart.series.map(({ key, form }) => draw("path", { class: `series ${form} of-${key}` }));
    chart.hair = draw("path", { class: "hair" });
    svg.append(chart.grid, chart.floor, ...chart.paths, chart.hair);
    chart.svg = svg;
    chart.summary = make("span", { id: `summary-${chart.id}`, class: "summary" });
    const title = make("h3", { id: `chart-${chart.id}` }, chart.title);
    const keys = chart.series.length > 1 ? chart.series.map(makeKey) : [];
    // To keyboards and screen readers a chart is a slider over its seconds, whose text is what the pointer shows.
    const names = { "aria-labelledby": `chart-${chart.id}`, "aria-describedby": `summary-${chart.id}` };
    chart.plot = make("div", { class: "plot", role: "slider", tabindex: "0", "aria-orientation": "horizontal", ...names }, svg);
    byId("charts").append(make("div", { class: "chart" }, make("div", { class: "chart-head" }, title, ...keys, chart.summary), chart.plot));
    chart.plot.addEventListener("pointermove", (event) => pointAt(chart, event));
    chart.plot.addEventListener("pointerleave", () => pointAt(chart, null));
    chart.plot.addEventListener("keydown", (event) => stepTo(chart, event));
    chart.plot.addEventListener("blur", () => choose(chart, null));
    new ResizeObserver(() => drawChart(chart)).observe(chart.plot);
  }
}

function makeKey({ name, key, form }) {
  const line = draw("path", { class: `series ${form} of-${key}`, d: "M1 6H21" });
  return make("span", { class: "key" }, draw("svg", { viewBox: "0 0 22 12", "aria-hidden": "true" }, line), name);
}

function updateCharts() {
  setHidden(byId("unmeasured"), series.measured);
  CHARTS.forEach(drawChart);
}

function drawChart(chart) {
  const width = chart.plot.clientWidth;
  const height = chart.plot.clientHeight;
  if (width < 80 || height < 40) return;
  const highest = Math.max(0, ...chart.series.flatMap(({ key }) => series.samples.map((sample) => sample[key] ?? 0)));
  const top = niceMaximum(highest);
  const area = { left: MARGIN.left, right: width - MARGIN.right, top: MARGIN.top, bottom: height - MARGIN.bottom };
  const x = (second) => area.right - ((series.now - second) / SPAN) * (area.right - area.left);
  const y = (value) => area.bottom - (value / top) * (area.bottom - area.top);
  setAttribute(chart.svg, "viewBox", `0 0 ${width} ${height}`);
  drawGrid(chart, area, top);
  chart.series.forEach(({ key, form }, i) => {
    setAttribute(chart.paths[i], "d", form === "bars" ? barPath(key, x, y) : linePath(key, x, y, null));
    if (form === "area") setAttribute(chart.floor, "d", linePath(key, x, y, area.bottom));
  });
  chart.area = area;
  describe(chart);
}

/** Grid and labels; drawn anew only when the size or the scale has changed. */
function drawGrid(chart, area, top) {
  const looks = JSON.stringify([area, top]);
  if (chart.looks === looks) return;
  chart.looks = looks;
  const lines = [];
  for (const part of [0, 0.5, 1]) {
    const y = area.bottom - part * (area.bottom - area.top);
    lines.push(draw("path", { d: `M${area.left} ${y}H${area.right}` }));
    lines.push(draw("text", { x: area.left - 6, y, dy: "0.35em", class: "end" }, chart.unit(top * part).replace("/s", "")));
  }
  // Each minute, or only both ends and what lies well apart from them where the labels would run into each other.
  const minutes = area.right - area.left < 420 ? [0, 2, 5] : [0, 1, 2, 3, 4, 5];
  for (const minute of minutes) {
    const x = area.right - (minute / 5) * (area.right - area.left);
    lines.push(draw("path", { d: `M${x} ${area.bottom}v4` }));
    const side = minute === 0 ? "end" : minute === 5 ? "start" : "middle";
    lines.push(draw("text", { x, y: area.bottom + 15, class: side }, minute === 0 ? "latest" : `−${minute} min`));
  }
  chart.grid.replaceChildren(...lines);
}

/** A line through what was measured; where nothing was, there is a gap. With a floor, the area down to it as well. */
function linePath(key, x, y, floor) {
  let d = "";
  let run = [];
  const finish = () => {
    if (!run.length) return;
    // A lone point has no length, and is drawn as a dot by the round ends of a line that hardly has one.
    d += `M${run.join("L")}${run.length === 1 ? "h0.01" : ""}`;
    if (floor !== null && run.length > 1) d += `V${floor}H${run[0].split(" ")[0]}Z`;
    run = [];
  };
  let before = null;
  for (const sample of series.samples) {
    const value = sample[key];
    const begin = beginOf(sample);
    if (before !== null && begin !== before + 1) finish();
    before = sample.second;
    if (!isKnown(value)) {
      finish();
      continue;
    }
    // Of several seconds: level from the first to the last.
    const ends = begin === sample.second ? [begin] : [Math.max(begin, series.now - SPAN), sample.second];
    run.push(...ends.map((second) => `${x(second).toFixed(1)} ${y(value).toFixed(1)}`));
  }
  finish();
  return d;
}

function barPath(key, x, y) {
  let d = "";
  for (const sample of series.samples.filter((one) => one[key] > 0)) {
    for (let second = Math.max(beginOf(sample), series.now - SPAN); second <= sample.second; second += 1) {
      d += `M${x(second).toFixed(1)} ${y(0).toFixed(1)}V${y(sample[key]).toFixed(1)}`;
    }
  }
  return d;
}

/** The line above a chart: what it shows in words, or the second that is pointed at. */
function describe(chart, moved = false) {
  // What has left the window, or was of another run, is chosen no longer.
  const gone = chart.chosen !== null && !sampleAt(chart.chosen);
  if (gone) chart.chosen = null;
  const pointed = chart.ago === null ? chart.chosen : series.now - chart.ago;
  const x = sampleAt(pointed) ? chart.area.right - ((series.now - pointed) / SPAN) * (chart.area.right - chart.area.left) : null;
  setAttribute(chart.hair, "d", x === null ? "" : `M${x} ${chart.area.top}V${chart.area.bottom}`);
  setText(chart.summary, textOf(chart, pointed));
  sayValue(chart, moved || gone);
}

/**
 * The chart as a slider over its seconds. A screen reader may read out each change of what has the focus, so then there is
 * one only when a key has moved it.
 */
function sayValue(chart, moved) {
  const { plot } = chart;
  setAttribute(plot, "aria-valuemin", String(firstSecond() ?? 0));
  setAttribute(plot, "aria-valuemax", String(lastSecond() ?? 0));
  if (document.activeElement === plot && !moved) return;
  setAttribute(plot, "aria-valuenow", String(chart.chosen ?? lastSecond() ?? 0));
  setAttribute(plot, "aria-valuetext", textOf(chart, chart.chosen));
}

/** What there is at this second, or of the whole chart. */
function textOf(chart, second) {
  const sample = sampleAt(second);
  return sample ? `${clock(new Date(series.begun + second * 1000))}: ${valuesOf(chart, sample)}` : summaryOf(chart);
}

/** The sample that this second is of, if there is one. */
function sampleAt(second) {
  if (second === null) return undefined;
  return series.samples.find((sample) => sample.second >= second && sample.second - sample.span < second);
}

function valuesOf(chart, sample) {
  return chart.series
    .map(({ key, name }) => `${chart.series.length > 1 ? `${name} ` : ""}${isKnown(sample[key]) ? chart.unit(sample[key]) : "–"}`)
    .join(", ");
}

function summaryOf(chart) {
  const newest = series.samples[series.samples.length - 1];
  if (!series.measured) return UNMEASURED;
  if (!newest) return "no second measured yet";
  const highs = chart.series.map(({ key, name }) => {
    const values = series.samples.map((sample) => sample[key]).filter(isKnown);
    if (!values.length) return null;
    return `${chart.series.length > 1 ? `${name} ` : ""}${chart.unit(Math.max(...values))}`;
  });
  const measured = highs.filter((high) => high !== null);
  if (!measured.length) return "no request in this time";
  return `latest ${valuesOf(chart, newest)} · highest ${measured.join(", ")}`;
}

/** The pointer stays where it is while the seconds pass below it. */
function pointAt(chart, event) {
  if (!chart.area) return;
  chart.ago = null;
  if (event) {
    const x = event.clientX - chart.plot.getBoundingClientRect().left;
    const ago = Math.round(((chart.area.right - x) / (chart.area.right - chart.area.left)) * SPAN);
    if (ago >= 0 && ago <= SPAN) chart.ago = ago;
  }
  describe(chart);
}

/** A second that was chosen by key is the same one until the next key, however old it becomes. */
function choose(chart, second) {
  if (!chart.area) return;
  chart.chosen = second;
  describe(chart, true);
}

/** The keys of a slider: arrows for a second, Page for a quarter of a minute, Home and End for the ends. */
function stepTo(chart, event) {
  if (!chart.area || !series.samples.length || event.ctrlKey || event.altKey || event.metaKey) return;
  if (event.key === "Escape") return choose(chart, null);
  const step = STEPS[event.key];
  if (step === undefined) return;
  event.preventDefault();
  // The first key shows where one is; the next ones move on from there.
  const wanted = chart.chosen === null ? lastSecond() - (Math.abs(step) === SPAN ? step : 0) : chart.chosen - step;
  choose(chart, Math.max(firstSecond(), Math.min(lastSecond(), wanted)));
}
