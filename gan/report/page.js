"use strict";
// What moves on a report: curves with values under the pointer, the film, reloading.
// All text comes from the page's data and is set as text, never as HTML.

const data = JSON.parse(document.getElementById("data").textContent);
const all = (selector) => [...document.querySelectorAll(selector)];
const byId = (id) => document.getElementById(id);

// What is remembered over a reload: where the page was scrolled to, which picture, which axis.
const KEY = "report " + location.pathname;
let memory = {};
try { memory = JSON.parse(sessionStorage.getItem(KEY)) || {}; } catch { /* not allowed here */ }
function remember(values) {
  Object.assign(memory, values);
  try { sessionStorage.setItem(KEY, JSON.stringify(memory)); } catch { /* not allowed here */ }
}

function element(name, attributes, parent, text) {
  const made = document.createElementNS("http://www.w3.org/2000/svg", name);
  for (const [key, value] of Object.entries(attributes)) made.setAttribute(key, value);
  if (text !== undefined) made.textContent = text;
  parent.append(made);
  return made;
}

function html(name, className, parent, text) {
  const made = document.createElement(name);
  made.className = className;
  if (text !== undefined) made.textContent = text;
  parent.append(made);
  return made;
}

function inWords(value) {
  if (Math.abs(value) >= 1e5 || (value !== 0 && Math.abs(value) < 1e-3)) return value.toExponential(2);
  return Number(value.toPrecision(4)).toLocaleString("en", { maximumFractionDigits: 6 });
}

// ---- curves ----

const HEIGHT = 230, LEFT = 52, RIGHT = 14, TOP = 10, BOTTOM = 30;  // pixels

function ticks(low, high, count) {
  const rough = (high - low) / count;
  const power = 10 ** Math.floor(Math.log10(rough));
  const step = [1, 2, 5, 10].map((factor) => factor * power).find((size) => size >= 0.8 * rough);
  const found = [];
  for (let at = Math.ceil(low / step - 1e-9); at * step <= high + step * 1e-9; at++) {
    found.push(at * step);
  }
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
    const card = html("figure", "card", host);
    html("h3", "", card, panel.title);
    if (panel.note) html("p", "quiet", card, panel.note);
    this.legend(card);
    const area = html("div", "area", card);
    this.svg = element("svg", { height: HEIGHT, role: "img", tabindex: 0 }, area);
    this.svg.setAttribute("aria-label", panel.title + "; arrow keys show the values");
    this.tip = html("div", "tip", area);
    this.tip.hidden = true;
    for (const name of ["pointermove", "pointerdown"]) {
      this.svg.addEventListener(name, (event) => this.point(event));
    }
    this.svg.addEventListener("pointerleave", () => this.hide());
    this.svg.addEventListener("blur", () => this.hide());
    this.svg.addEventListener("keydown", (event) => this.key(event));
  }

  legend(card) {
    const legend = html("p", "legend", card);
    for (const line of this.panel.lines) {
      const entry = html("span", "", legend);
      html("i", "c" + line.color, entry);
      entry.append(line.label);
    }
  }

  draw(axis) {
    const { panel, svg } = this;
    this.xs = panel.lines.map((line) => data.runs[line.run].axes[axis]);
    this.axis = axis;
    this.width = svg.parentNode.clientWidth;
    svg.replaceChildren();
    svg.setAttribute("viewBox", `0 0 ${this.width} ${HEIGHT}`);
    svg.setAttribute("width", this.width);
    const values = panel.lines.flatMap((line) => line.y.filter((value) => value !== null));
    const [low, high] = bounds([...values, ...panel.guides.map((guide) => guide.y)],
                               panel.low, panel.high);
    const places = this.xs.flat();
    const first = Math.min(...places), last = Math.max(...places);
    const margin = (last - first) * 0.02 || 0.5;
    this.span = [first - margin, last + margin];
    this.x = (value) => LEFT + (value - this.span[0]) / (this.span[1] - this.span[0])
      * (this.width - LEFT - RIGHT);
    this.y = (value) => TOP + (high - value) / (high - low) * (HEIGHT - TOP - BOTTOM);
    this.grid(low, high);
    panel.guides.forEach((guide) => this.guide(guide));
    panel.lines.forEach((line, index) => this.line(line, this.xs[index]));
    this.cursor = element("line", { class: "cursor", y1: TOP, y2: HEIGHT - BOTTOM }, svg);
    this.dots = panel.lines.map((line) => element("circle", { r: 4, class: "dot c" + line.color }, svg));
    this.hide();
  }

  grid(low, high) {
    const right = this.width - RIGHT, bottom = HEIGHT - BOTTOM;
    for (const value of ticks(low, high, 4)) {
      element("line", { class: "grid", x1: LEFT, x2: right, y1: this.y(value), y2: this.y(value) }, this.svg);
      element("text", { x: LEFT - 6, y: this.y(value) + 4, "text-anchor": "end" }, this.svg, inWords(value));
    }
    const whole = this.axis === "minutes" ? () => true : Number.isInteger;
    const least = this.span[0] < 0 ? 0 : this.span[0];
    for (const value of ticks(least, this.span[1], this.width / 90).filter(whole)) {
      element("text", { x: this.x(value), y: bottom + 16, "text-anchor": "middle" }, this.svg, inWords(value));
    }
    element("text", { x: right, y: HEIGHT - 2, "text-anchor": "end", class: "unit" }, this.svg, this.axis);
  }

  guide(guide) {
    const y = this.y(guide.y);
    const kind = guide.color === undefined ? "guide" : "guide c" + guide.color;
    element("line", { class: kind, x1: LEFT, x2: this.width - RIGHT, y1: y, y2: y }, this.svg);
    const title = element("title", {}, this.svg.lastChild);
    title.textContent = `${guide.label}: ${inWords(guide.y)}`;
  }

  line(line, xs) {
    const points = [];
    line.y.forEach((value, index) => {
      if (value !== null) points.push(`${this.x(xs[index]).toFixed(1)},${this.y(value).toFixed(1)}`);
    });
    element("polyline", { class: "line c" + line.color, points: points.join(" ") }, this.svg);
    if (points.length > 40) return;
    for (const point of points) {
      const [cx, cy] = point.split(",");
      element("circle", { class: "dot c" + line.color, cx, cy, r: 2.5 }, this.svg);
    }
  }

  point(event) {
    const box = this.svg.getBoundingClientRect();
    const part = (event.clientX - box.left - LEFT) / (this.width - LEFT - RIGHT);
    this.show(this.span[0] + part * (this.span[1] - this.span[0]));
  }

  key(event) {
    const move = { ArrowLeft: -1, ArrowRight: 1 }[event.key];
    if (!move) return;
    event.preventDefault();
    const places = [...new Set(this.xs.flat())].sort((a, b) => a - b);
    const now = this.at === undefined ? (move > 0 ? -1 : places.length) : places.indexOf(this.at);
    this.show(places[Math.max(0, Math.min(places.length - 1, now + move))]);
  }

  show(wanted) {
    const nearest = (xs, ys) => xs.reduce((best, x, index) => (ys[index] !== null && (best < 0
      || Math.abs(x - wanted) < Math.abs(xs[best] - wanted)) ? index : best), -1);
    const rows = [];
    let at, distance = Infinity;
    this.panel.lines.forEach((line, number) => {
      const xs = this.xs[number], index = nearest(xs, line.y);
      if (index < 0) return;
      if (Math.abs(xs[index] - wanted) < distance) {
        distance = Math.abs(xs[index] - wanted);
        at = xs[index];
      }
      rows.push([line, xs[index], line.y[index]]);
      this.dots[number].setAttribute("cx", this.x(xs[index]));
      this.dots[number].setAttribute("cy", this.y(line.y[index]));
    });
    if (at === undefined) return;
    this.at = at;
    this.cursor.setAttribute("x1", this.x(at));
    this.cursor.setAttribute("x2", this.x(at));
    this.svg.classList.add("pointed");
    this.label(at, rows);
  }

  label(at, rows) {
    this.tip.replaceChildren();
    html("b", "", this.tip, this.axis === "minutes" ? `${inWords(at)} minutes` : `${this.axis} ${inWords(at)}`);
    for (const [line, x, value] of rows) {
      const row = html("span", "", this.tip);
      html("i", "c" + line.color, row);
      row.append(`${line.label} `);
      html("b", "", row, inWords(value) + (x === at ? "" : ` (at ${inWords(x)})`));
    }
    this.tip.hidden = false;
    const x = this.x(at), right = x > this.width / 2;
    const left = right ? x - this.tip.offsetWidth - 10 : x + 10;
    this.tip.style.left = Math.max(0, Math.min(left, this.width - this.tip.offsetWidth)) + "px";
  }

  hide() {
    this.at = undefined;
    this.tip.hidden = true;
    this.svg.classList.remove("pointed");
  }
}

function startCurves() {
  const host = document.querySelector("#curves .panels"), axis = byId("axis");
  if (!host) return;
  const charts = data.panels.filter((panel) => panel.lines.length).map((panel) => new Chart(panel, host));
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

// ---- the film ----

const FRAME_MILLISECONDS = 250;

function startFilm() {
  const slider = byId("slider"), play = byId("play");
  if (!slider) return;
  const labels = new Map();  // of each place, the words for it
  for (const film of data.films) for (const frame of film.frames) labels.set(frame.at, frame.label);
  const places = [...labels.keys()].sort((a, b) => a - b);
  // Single pixels are shown as such where a picture is enlarged.
  for (const image of all("#film img")) {
    image.addEventListener("load", () => {
      image.classList.toggle("enlarged", image.naturalWidth < 0.8 * image.clientWidth * devicePixelRatio);
    });
  }
  const images = all("#film .frame"), captions = all("#film .frame + figcaption span");
  let timer = null;

  function show(index) {
    const place = places[index];
    slider.value = index;
    byId("frame").textContent = labels.get(place);
    slider.setAttribute("aria-valuetext", labels.get(place));
    data.films.forEach((film, number) => {
      const frame = film.frames.findLast((each) => each.at <= place) || film.frames[0];
      if (!frame) return;
      images[number].src = frame.src;
      captions[number].textContent = frame.label;
    });
    // At the last picture one wants to see the next as soon as it is there.
    remember({ place: index === places.length - 1 ? null : place });
  }
  function stop() {
    clearInterval(timer);
    timer = null;
    play.textContent = "Play";
  }
  function start() {
    if (Number(slider.value) >= places.length - 1) show(0);
    play.textContent = "Pause";
    timer = setInterval(() => {
      if (Number(slider.value) >= places.length - 1) stop();
      else show(Number(slider.value) + 1);
    }, FRAME_MILLISECONDS);
  }

  slider.max = places.length - 1;
  slider.addEventListener("input", () => { stop(); show(Number(slider.value)); });
  play.addEventListener("click", () => (timer === null ? start() : stop()));
  const real = byId("real");
  if (real) real.src = data.films[0].real;
  const kept = places.findLastIndex((place) => memory.place != null && place <= memory.place);
  show(kept >= 0 ? kept : places.length - 1);
  playing = () => timer !== null;
}

// ---- following a run ----

let playing = () => false;
let pressed = false;

function follow() {
  if (!data.reload) return;
  const age = () => Math.round((Date.now() - data.written) / 1000);
  const busy = () => playing() || pressed || all("svg.pointed").length > 0;
  let waited = 0;
  addEventListener("pointerdown", () => { pressed = true; });
  for (const name of ["pointerup", "pointercancel"]) addEventListener(name, () => { pressed = false; });
  function tellAge() {
    const old = age() > Math.max(300, 10 * data.reload);
    byId("age").textContent = `written ${age()} s ago`
      + (old ? "; the run may have ended without a word" : "");
  }
  tellAge();
  setInterval(() => {
    tellAge();
    waited += 1;
    if (waited >= data.reload && !busy()) {
      remember({ scroll: scrollY });
      location.reload();
    }
  }, 1000);
}

startCurves();
startFilm();
follow();
history.scrollRestoration = memory.scroll ? "manual" : "auto";
if (memory.scroll) scrollTo(0, memory.scroll);
remember({ scroll: null });
document.documentElement.dataset.ready = "yes";
