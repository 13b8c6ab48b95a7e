// What a page must have for everybody: gives a list of what is wrong, one line each.
async () => {
  const problems = [];
  // Colours half way from one state to the next are not looked at.
  const fades = document.getAnimations().filter((one) => one instanceof CSSTransition);
  await Promise.allSettled(fades.map((one) => one.finished));
  const shown = (node) => node.getClientRects().length > 0 && getComputedStyle(node).visibility !== "hidden";
  const label = (node) => `<${node.tagName.toLowerCase()}${node.id ? ` id=${node.id}` : ""}> ${node.textContent.trim().slice(0, 40)}`;
  const text = (ids) => (ids ?? "").split(/\s+/).filter(Boolean).map((id) => document.getElementById(id)?.textContent ?? "").join(" ").trim();
  const nameOf = (node) =>
    node.getAttribute("aria-label") || text(node.getAttribute("aria-labelledby"))
    || [...(node.labels ?? [])].map((one) => one.textContent).join(" ").trim()
    || (node.tagName === "INPUT" ? "" : node.textContent.trim());

  for (const node of document.querySelectorAll("button, input, select, textarea, summary, dialog, [role=img], [role=slider], [role=region], section")) {
    if (!nameOf(node)) problems.push(`no accessible name: ${label(node)}`);
  }
  for (const node of document.querySelectorAll("[aria-labelledby], [aria-describedby], label[for]")) {
    for (const attribute of ["aria-labelledby", "aria-describedby", "for"]) {
      for (const id of (node.getAttribute(attribute) ?? "").split(/\s+/).filter(Boolean)) {
        if (!document.getElementById(id)) problems.push(`${attribute} names nothing: ${id}`);
      }
    }
  }
  const ids = [...document.querySelectorAll("[id]")].map((node) => node.id);
  for (const id of new Set(ids.filter((one, i) => ids.indexOf(one) !== i))) problems.push(`id twice: ${id}`);
  if (!document.documentElement.lang) problems.push("the page has no language");
  if (document.querySelectorAll("h1").length !== 1) problems.push("there is not exactly one h1");
  if (document.querySelectorAll("main").length !== 1) problems.push("there is not exactly one main");
  let level = 0;
  for (const heading of document.querySelectorAll("h1, h2, h3, h4")) {
    const next = Number(heading.tagName[1]);
    if (next > level + 1) problems.push(`a heading level is left out before: ${label(heading)}`);
    level = next;
  }
  for (const table of document.querySelectorAll("table")) {
    if (!table.caption) problems.push("a table has no caption");
    for (const cell of table.querySelectorAll("th")) if (!cell.scope || !cell.textContent.trim()) problems.push(`a header without scope or text: ${label(cell)}`);
    for (const row of table.querySelectorAll("tr.main")) if (!row.querySelector("th[scope=row]")) problems.push("a row has no header");
    const columns = table.querySelectorAll("th[scope=col]").length;
    for (const row of table.querySelectorAll("tr.main")) if (row.cells.length !== columns) problems.push("a row has not as many cells as there are columns");
  }

  for (const list of document.querySelectorAll("ol, ul")) {
    // Without the role, a list without signs is no list to some screen readers.
    if (shown(list) && getComputedStyle(list).listStyleType === "none" && list.getAttribute("role") !== "list") problems.push(`a list without role: ${label(list)}`);
  }
  for (const box of document.querySelectorAll("*")) {
    const scrolls = ["auto", "scroll"].includes(getComputedStyle(box).overflowY) && box.scrollHeight > box.clientHeight + 1;
    if (scrolls && shown(box) && box.tabIndex < 0) problems.push(`scrolls, but not by keyboard: ${label(box)}`);
  }

  // Nothing in the table sticks out of its cell, and the page does not scroll sideways.
  for (const cell of document.querySelectorAll("tr.main > *, tr.more > *, tr.trouble > *")) {
    const room = cell.getBoundingClientRect();
    for (const part of cell.querySelectorAll("*")) {
      const { left, right, width } = part.getBoundingClientRect();
      if (width && (left < room.left - 1 || right > room.right + 1)) problems.push(`sticks out of its cell by ${Math.round(Math.max(room.left - left, right - room.right))} px: ${label(part)}`);
    }
    if (cell.scrollWidth > cell.clientWidth + 1) problems.push(`text sticks out of its cell: ${label(cell)}`);
  }
  for (const table of document.querySelectorAll("table")) {
    const over = table.getBoundingClientRect().right - table.parentElement.getBoundingClientRect().right;
    if (over > 0) problems.push(`a table is ${Math.round(over)} px wider than its panel`);
  }
  const { scrollWidth, clientWidth } = document.documentElement;
  if (scrollWidth > clientWidth) problems.push(`the page is ${scrollWidth - clientWidth} px wider than the window`);

  const parse = (colour) => (colour.match(/[\d.]+/g) ?? []).map(Number);
  const light = ([r, g, b]) => {
    const [x, y, z] = [r, g, b].map((part) => part / 255).map((part) => (part <= 0.04045 ? part / 12.92 : ((part + 0.055) / 1.055) ** 2.4));
    return 0.2126 * x + 0.7152 * y + 0.0722 * z;
  };
  const groundOf = (node) => {
    for (let up = node; up; up = up.parentElement) {
      const colour = parse(getComputedStyle(up).backgroundColor);
      if (colour.length === 3 || colour[3] === 1) return colour;
    }
    return [255, 255, 255];
  };
  const mix = (colour, ground, part) => [0, 1, 2].map((i) => colour[i] * part + ground[i] * (1 - part));
  const grey = ([r, g, b]) => Array(3).fill(0.2126 * r + 0.7152 * g + 0.0722 * b);
  /** Both colours as they are seen in the end: what is around may take the colour out of them, or let its ground through. */
  const seen = (node, ink, ground) => {
    for (let up = node; up; up = up.parentElement) {
      const { filter, opacity } = getComputedStyle(up);
      if (filter === "grayscale(1)") [ink, ground] = [grey(ink), grey(ground)];
      if (opacity < 1) [ink, ground] = [ink, ground].map((colour) => mix(colour, groundOf(up.parentElement), Number(opacity)));
    }
    return [light(ink), light(ground)];
  };
  for (const node of document.body.querySelectorAll("*")) {
    const own = [...node.childNodes].some((child) => child.nodeType === Node.TEXT_NODE && child.textContent.trim());
    if (!own || !shown(node) || node.closest(".unseen, noscript")) continue;
    // Set back on purpose, while another one is pointed at.
    if (node.closest(".has-lit [data-id]:not(.lit)")) continue;
    const style = getComputedStyle(node);
    const drawn = node instanceof SVGElement;
    // Numbers on the fills of the ring have an outline in the colour of the fill.
    const behind = drawn && style.stroke !== "none" ? parse(style.stroke) : groundOf(node);
    const [ink, ground] = seen(node, parse(drawn ? style.fill : style.color), behind);
    const contrast = (Math.max(ink, ground) + 0.05) / (Math.min(ink, ground) + 0.05);
    if (contrast < 4.5) problems.push(`contrast ${contrast.toFixed(2)}: ${label(node)}`);
  }
  return problems;
}
