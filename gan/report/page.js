"use strict";
// Draws the page from its data; all text is set as text, never as HTML.

const data = JSON.parse(document.getElementById("data").textContent);
const byId = (id) => document.getElementById(id);
const all = (selector) => [...document.querySelectorAll(selector)];
const several = data.runs.length > 1;
const MOST_IN_LEGEND = 8, MOST_IN_TIP = 8;  // lines
const many = Math.max(...data.runs.map((run) => run.color)) >= 8;  // colors

// Remembered over a reload: scroll position, picture, axis.
const KEY = "report " + location.pathname;
let memory = {};
try { memory = JSON.parse(sessionStorage.getItem(KEY)) || {}; } catch { /* not allowed here */ }
function remember(values) {
  Object.assign(memory, values);
  try { sessionStorage.setItem(KEY, JSON.stringify(memory)); } catch { /* not allowed here */ }
}

function html(name, className, parent, text) {
  const made = document.createElement(name);
  if (className) made.className = className;
  if (text !== undefined) made.textContent = text;
  parent.append(made);
  return made;
}

function svg(name, attributes, parent, text) {
  const made = document.createElementNS("http://www.w3.org/2000/svg", name);
  for (const [key, value] of Object.entries(attributes)) made.setAttribute(key, value);
  if (text !== undefined) made.textContent = text;
  parent.append(made);
  return made;
}

/** Give an element a color by its number: eight fixed ones, or hues around the circle. */
function colored(element, index) {
  element.style.setProperty("--c", many ? `hsl(${Math.round(index * 137.5) % 360} 60% 50%)` : `var(--c${index % 8})`);
  return element;
}

const swatch = (index, parent) => colored(html("i", "", parent), index);

function inWords(value) {
  if (Math.abs(value) >= 1e5 || (value !== 0 && Math.abs(value) < 1e-3)) return value.toExponential(2);
  return Number(value.toPrecision(4)).toLocaleString("en", { maximumFractionDigits: 6 });
}

// ---- text and tables

function fillText() {
  byId("title").textContent = data.title;
  byId("about").textContent = data.about ?? "";
  byId("state").hidden = !data.state;
  if (data.state) {
    byId("state").className = data.state[0];
    byId("state").textContent = data.state[1];
  }
  if (data.verdict) {
    const [text, hint] = byId("verdict").querySelectorAll("p");
    byId("verdict").hidden = false;
    byId("verdict").className = data.verdict.mood;
    text.textContent = data.verdict.text;
    hint.textContent = data.verdict.hint;
  }
  for (const [label, value, note] of data.tiles ?? []) {
    const tile = html("div", "", byId("tiles"));
    html("dt", "", tile, label);
    html("small", "", html("dd", "", tile, value), note);
  }
}

/** Draw a table of cells, each a text or {text, note, kind, run}. */
function drawTable(table, host) {
  if (!table?.rows.length) return;
  const section = html("section", "", host);
  const body = table.folded ? html("details", "", section) : section;
  html("h2", "", table.folded ? html("summary", "", body) : body, table.title);
  const drawn = html("table", "", html("div", "wide", body));
  if (table.head) {
    const row = html("tr", "", html("thead", "", drawn));
    for (const cell of table.head) drawCell(cell, "th", row).scope = "col";
  }
  const rows = html("tbody", "", drawn);
  for (const cells of table.rows) {
    const row = html("tr", "", rows);
    cells.forEach((cell, column) => drawCell(cell, column ? "td" : "th", row));
    row.firstChild.scope = "row";
    if (cells[0].run !== undefined) pointAt(row, cells[0].run);
  }
  if (table.notes) html("p", "quiet", body, table.notes);
}

function drawCell(cell, name, row) {
  const { text, note, kind, run } = typeof cell === "string" ? { text: cell } : cell;
  const drawn = html(name, kind, row);
  if (run !== undefined) swatch(run, drawn);
  const shown = html(kind === "code" ? "code" : "span", "", drawn);
  text.split(/(?<=[/_])/).forEach((part, index) => {  // where long names may be broken
    if (index) html("wbr", "", shown);
    shown.append(part);
  });
  if (note) html("small", "", drawn, note);
  return drawn;
}

// ---- curves

const HEIGHT = 230, LEFT = 52, RIGHT = 14, TOP = 10, BOTTOM = 30;  // pixels

/** Emphasize the curves of a run, or of none. */
function emphasize(run) {
  for (const line of all(".line")) line.classList.toggle("faint", run !== null && +line.dataset.run !== run);
}

function pointAt(element, run) {
  element.addEventListener("pointerenter", () => emphasize(run));
  element.addEventListener("pointerleave", () => emphasize(null));
}

function ticks(low, high, count) {
  const rough = (high - low) / count, power = 10 ** Math.floor(Math.log10(rough));
  const step = [1, 2, 5, 10].map((factor) => factor * power).find((size) => size >= 0.8 * rough);
  const found = [];
  for (let at = Math.ceil(low / step - 1e-9); at * step <= high + step * 1e-9; at++) found.push(at * step);
  return found;
}

function bounds(values, low, high) {
  const least = low ?? Math.min(...values), most = high ?? Math.max(...values);
  const room = (most - least) * 0.06 || Math.abs(most) * 0.1 || 0.5;
  return [low ?? least - room, high ?? most + room];
}

class Chart {
  constructor(panel, host) {
    this.panel = panel;
    const card = html("figure", "", host);
    html("h3", "", card, panel.title);
    html("p", "quiet", card, panel.note);
    const legend = html("p", "legend", card);
    const labeled = panel.lines.filter((line) => line.label);
    for (const line of labeled.length <= MOST_IN_LEGEND ? labeled : []) {
      const entry = html("span", "", legend);
      swatch(line.color, entry);
      entry.append(line.label);
    }
    const area = html("div", "area", card);
    this.svg = svg("svg", { height: HEIGHT, role: "img", tabindex: 0,
                            "aria-label": `${panel.title}; arrow keys show the values` }, area);
    this.tip = html("div", "tip", area);
    for (const name of ["pointermove", "pointerdown"]) {
      this.svg.addEventListener(name, (event) => this.point(event));
    }
    for (const name of ["pointerleave", "blur"]) this.svg.addEventListener(name, () => this.hide());
    this.svg.addEventListener("keydown", (event) => this.key(event));
  }

  draw(axis) {
    const { panel, svg: area } = this;
    this.xs = panel.lines.map((line) => data.runs[line.run].axes[axis]);
    this.axis = axis;
    this.width = area.parentNode.clientWidth;
    area.replaceChildren();
    area.setAttribute("viewBox", `0 0 ${this.width} ${HEIGHT}`);
    area.setAttribute("width", this.width);
    const values = panel.lines.flatMap((line) => line.y.filter((value) => value !== null));
    const [low, high] = bounds([...values, ...panel.guides.map((guide) => guide.y)], panel.low, panel.high);
    const places = this.xs.flat(), first = Math.min(...places), last = Math.max(...places);
    const margin = (last - first) * 0.02 || 0.5;
    this.span = [first - margin, last + margin];
    this.x = (value) => LEFT + (value - this.span[0]) / (this.span[1] - this.span[0]) * (this.width - LEFT - RIGHT);
    this.y = (value) => TOP + (high - value) / (high - low) * (HEIGHT - TOP - BOTTOM);
    this.grid(low, high);
    for (const guide of panel.guides) this.guide(guide);
    panel.lines.forEach((line, index) => this.line(line, this.xs[index]));
    this.cursor = svg("line", { class: "cursor", y1: TOP, y2: HEIGHT - BOTTOM }, area);
    this.dots = panel.lines.map((line) => colored(svg("circle", { r: 4, class: "dot at" }, area), line.color));
    this.hide();
  }

  grid(low, high) {
    const right = this.width - RIGHT, bottom = HEIGHT - BOTTOM;
    for (const value of ticks(low, high, 4)) {
      svg("line", { class: "grid", x1: LEFT, x2: right, y1: this.y(value), y2: this.y(value) }, this.svg);
      svg("text", { x: LEFT - 6, y: this.y(value) + 4, "text-anchor": "end" }, this.svg, inWords(value));
    }
    const whole = this.axis === "minutes" ? () => true : Number.isInteger;
    for (const value of ticks(Math.max(0, this.span[0]), this.span[1], this.width / 90).filter(whole)) {
      svg("text", { x: this.x(value), y: bottom + 16, "text-anchor": "middle" }, this.svg, inWords(value));
    }
    svg("text", { x: right, y: HEIGHT - 2, "text-anchor": "end" }, this.svg, this.axis);
  }

  guide({ label, y, color }) {
    const line = svg("line", { class: "guide", x1: LEFT, x2: this.width - RIGHT, y1: this.y(y), y2: this.y(y) }, this.svg);
    if (color !== undefined) colored(line, color);
    svg("title", {}, line, `${label}: ${inWords(y)}`);
  }

  line(line, xs) {
    const points = [];
    line.y.forEach((value, index) => {
      if (value !== null) points.push([this.x(xs[index]).toFixed(1), this.y(value).toFixed(1)]);
    });
    colored(svg("polyline", { class: "line", "data-run": line.color, points: points.join(" ") }, this.svg), line.color);
    if (points.length > 40 || this.panel.lines.length > MOST_IN_LEGEND) return;
    for (const [cx, cy] of points) colored(svg("circle", { class: "dot", cx, cy, r: 2.5 }, this.svg), line.color);
  }

  point(event) {
    const box = this.svg.getBoundingClientRect();
    const part = (event.clientX - box.left - LEFT) / (this.width - LEFT - RIGHT);
    this.show(this.span[0] + part * (this.span[1] - this.span[0]), event.clientY - box.top);
  }

  key(event) {
    const move = { ArrowLeft: -1, ArrowRight: 1 }[event.key];
    if (!move) return;
    event.preventDefault();
    const places = [...new Set(this.xs.flat())].sort((a, b) => a - b);
    const now = this.at === undefined ? (move > 0 ? -1 : places.length) : places.indexOf(this.at);
    this.show(places[Math.max(0, Math.min(places.length - 1, now + move))], HEIGHT / 2);
  }

  /** Show the values nearest to a place of the axis, those of many runs near a height. */
  show(wanted, height) {
    const away = (x) => Math.abs(x - wanted);
    let rows = this.panel.lines.map((line, number) => {
      const index = this.xs[number].reduce((best, x, i) => (line.y[i] !== null
        && (best < 0 || away(x) < away(this.xs[number][best])) ? i : best), -1);
      return { line, dot: this.dots[number], x: this.xs[number][index], value: line.y[index] };
    }).filter((row) => row.x !== undefined);
    if (!rows.length) return;
    for (const { dot, x, value } of rows) {
      dot.setAttribute("cx", this.x(x));
      dot.setAttribute("cy", this.y(value));
    }
    this.at = rows.reduce((best, row) => (away(row.x) < away(best) ? row.x : best), rows[0].x);
    if (rows.length > MOST_IN_TIP) {
      rows.sort((a, b) => Math.abs(this.y(a.value) - height) - Math.abs(this.y(b.value) - height));
      emphasize(rows[0].line.color);
      rows = rows.slice(0, MOST_IN_TIP).sort((a, b) => b.value - a.value);
    }
    for (const name of ["x1", "x2"]) this.cursor.setAttribute(name, this.x(this.at));
    this.svg.classList.add("pointed");
    this.label(rows);
  }

  label(rows) {
    this.tip.replaceChildren();
    const at = inWords(this.at);
    html("b", "", this.tip, this.axis === "minutes" ? `${at} minutes` : `${this.axis} ${at}`);
    for (const { line, x, value } of rows) {
      const row = html("span", "", this.tip);
      swatch(line.color, row);
      if (line.label) row.append(`${line.label} `);
      html("b", "", row, inWords(value) + (x === this.at ? "" : ` (at ${inWords(x)})`));
    }
    this.tip.hidden = false;
    const x = this.x(this.at), left = x > this.width / 2 ? x - this.tip.offsetWidth - 10 : x + 10;
    this.tip.style.left = Math.max(0, Math.min(left, this.width - this.tip.offsetWidth)) + "px";
  }

  hide() {
    this.at = undefined;
    this.tip.hidden = true;
    this.svg.classList.remove("pointed");
    if (several) emphasize(null);
  }
}

function startCurves() {
  const panels = data.panels.filter((panel) => panel.lines.length), axis = byId("axis");
  if (!panels.length) return;
  byId("curves").hidden = false;
  const host = document.querySelector("#curves .panels");
  const charts = panels.map((panel) => new Chart(panel, host));
  const draw = () => charts.forEach((chart) => chart.draw(axis.value));
  if (memory.axis) axis.value = memory.axis;
  axis.addEventListener("change", () => { remember({ axis: axis.value }); draw(); });
  let width = 0;
  new ResizeObserver(() => {
    if (host.clientWidth !== width) { width = host.clientWidth; draw(); }
  }).observe(host);
  draw();
  width = host.clientWidth;
}

// ---- pictures over time

const FRAME_MILLISECONDS = 250;
let playing = () => false;

function startSamples() {
  const runs = data.runs.filter((run) => run.frames.length);
  if (!runs.length) return;
  byId("samples").hidden = false;
  const slider = byId("slider"), play = byId("play"), host = document.querySelector(".pictures");
  host.classList.toggle("many", data.runs.length > 3);
  const shown = runs.map((run) => {
    const { image, caption } = addPicture(host, "generated samples");
    if (several) {
      swatch(run.color, caption);
      caption.append(`${run.name}: `);
    }
    return { run, image, label: html("span", "", caption) };
  });
  if (!several && data.runs[0].real) {
    const { image, caption } = addPicture(host, "real samples");
    image.src = data.runs[0].real;
    caption.textContent = "real samples";
  }
  const labels = new Map(runs.flatMap((run) => run.frames.map((frame) => [frame.at, frame.label])));
  const places = [...labels.keys()].sort((a, b) => a - b);
  let timer = null;

  function show(index) {
    const place = places[index];
    slider.value = index;
    byId("frame").textContent = labels.get(place);
    slider.setAttribute("aria-valuetext", labels.get(place));
    for (const { run, image, label } of shown) {
      const frame = run.frames.findLast((each) => each.at <= place) || run.frames[0];
      image.src = frame.src;
      label.textContent = frame.label;
    }
    // After a reload the last picture gives way to the newest.
    remember({ place: index === places.length - 1 ? null : place });
  }
  function stop() {
    clearInterval(timer);
    timer = null;
    play.textContent = "Play";
  }
  function start() {
    if (+slider.value >= places.length - 1) show(0);
    play.textContent = "Pause";
    timer = setInterval(() => {
      if (+slider.value >= places.length - 1) stop();
      else show(+slider.value + 1);
    }, FRAME_MILLISECONDS);
  }

  slider.max = places.length - 1;
  slider.addEventListener("input", () => { stop(); show(+slider.value); });
  play.addEventListener("click", () => (timer === null ? start() : stop()));
  const kept = places.findLastIndex((place) => memory.place != null && place <= memory.place);
  show(kept >= 0 ? kept : places.length - 1);
  playing = () => timer !== null;
}

function addPicture(host, alt) {
  const figure = html("figure", "", host), image = html("img", "", figure);
  image.alt = alt;
  image.addEventListener("load", () => {  // single pixels are shown as such where enlarged
    image.classList.toggle("enlarged", image.naturalWidth < 0.8 * image.clientWidth * devicePixelRatio);
  });
  return { image, caption: html("figcaption", "", figure) };
}

// ---- following a run

function follow() {
  if (!data.running) return;
  const { epoch, minutes } = data.runs[0].axes;
  const seconds = epoch.length ? 60 * minutes.at(-1) / epoch.at(-1) : 30;  // of an epoch
  const wait = Math.min(Math.max(seconds / 2, 5), 60);
  const age = () => Math.round((Date.now() - data.written) / 1000);
  let waited = 0, pressed = false;
  addEventListener("pointerdown", () => { pressed = true; });
  for (const name of ["pointerup", "pointercancel"]) addEventListener(name, () => { pressed = false; });
  function tick() {
    const old = age() > Math.max(300, 10 * wait);
    byId("age").textContent = `written ${age()} s ago${old ? "; the run may have ended without a word" : ""}`;
    if (waited++ >= wait && !playing() && !pressed && !all("svg.pointed").length) {
      remember({ scroll: scrollY });
      location.reload();
    }
  }
  tick();
  setInterval(tick, 1000);
}

fillText();
drawTable(data.comparison, byId("comparison"));
for (const table of data.tables ?? []) drawTable(table, byId("tables"));
startCurves();
startSamples();
follow();
history.scrollRestoration = memory.scroll ? "manual" : "auto";
if (memory.scroll) scrollTo(0, memory.scroll);
remember({ scroll: null });
document.documentElement.dataset.ready = "yes";
