"use strict";
// The page: what is chosen, what is drawn of it, and where it is shown.

const $ = (id) => document.getElementById(id);
const about = JSON.parse($("description").textContent);
const points = about.kind === "points";
const [height, width, channels] = points ? [0, 0, 0] : about.sample_shape;
const { probabilities, class_of: classOf } = about.conditions;
const LARGEST_SEED = 2n ** 62n;  // as of generate.py
const longest = Math.max(width, height);
const CHUNK = points ? 250 : longest > 40 ? 1 : 8;  // samples drawn in one go
const PERIOD = 1600;  // milliseconds from one seed to the next

const state = { seed: 0n, label: -1, cluster: -1, truncation: 1, offsets: about.directions.map(() => 0) };
const artist = new Artist(JSON.parse($("network").textContent), weightsOfPage(), showProgress);

function weightsOfPage() {
  const text = atob($("weights").textContent), bytes = new Uint8Array(text.length);
  for (let i = 0; i < text.length; i++) bytes[i] = text.charCodeAt(i);
  return bytes.buffer;
}

// ---- what a seed stands for, with all that is chosen

/** Return the latent of a seed, scaled and moved along the directions. */
function chosenLatent(seed) {
  const latent = latentOf(seed, about.latent_dim).map((number) => number * state.truncation);
  state.offsets.forEach((offset, n) => {
    if (offset) about.directions[n].forEach((part, i) => { latent[i] += offset * part; });
  });
  return latent;
}

/** Return the condition of a seed: the chosen cluster, or one drawn of the class. */
function chosenCondition(seed, label) {
  if (state.cluster >= 0) return state.cluster;
  return conditionOf(seed, label < 0 ? probabilities
    : probabilities.map((one, condition) => (classOf[condition] === label ? one : 0)));
}

function vectorOf(condition) {
  const vector = new Float32Array(about.vector_length);
  for (const [place, value] of about.vectors?.[condition] ?? []) vector[place] = value;
  return vector;
}

function sampleOf(seed, label = state.label) {
  return { latents: chosenLatent(seed), vectors: vectorOf(chosenCondition(seed, label)) };
}

/** Return the sample on the great circle between those of a seed and the next (Shoemake 1985). */
function sampleBetween(seed, t) {
  const [start, end] = [sampleOf(seed), sampleOf(seed + 1n)];
  const dot = (a, b) => a.reduce((sum, one, i) => sum + one * b[i], 0);
  const lengths = Math.sqrt(dot(start.latents, start.latents) * dot(end.latents, end.latents));
  const cosine = dot(start.latents, end.latents) / Math.max(lengths, 1e-12);
  const angle = Math.acos(Math.min(1, Math.max(-1, cosine))), sine = Math.sin(angle);
  const [p, q] = sine < 1e-4 ? [1 - t, t] : [Math.sin((1 - t) * angle) / sine, Math.sin(t * angle) / sine];
  return { latents: start.latents.map((one, i) => p * one + q * end.latents[i]),
           vectors: start.vectors.map((one, i) => (1 - t) * one + t * end.vectors[i]) };
}

// ---- showing

/** Put an image, numbers from 0 to 1, on a canvas of its size. */
function paint(canvas, numbers) {
  const image = new ImageData(width, height);
  for (let pixel = 0; pixel < width * height; pixel++) {
    for (let c = 0; c < 3; c++) {
      image.data[4 * pixel + c] = Math.round(255 * numbers[pixel * channels + (channels > 1 ? c : 0)]);
    }
    image.data[4 * pixel + 3] = channels > 3 ? Math.round(255 * numbers[pixel * channels + 3]) : 255;
  }
  canvas.getContext("2d").putImageData(image, 0, 0);
}

const className = (label) => about.class_names[label] ?? `${label}`;

/** The clusters of the chosen class, or all, class by class: numbers of conditions. */
const clusters = () => probabilities.map((_, condition) => condition)
  .filter((condition) => state.label < 0 || classOf[condition] === state.label)
  .sort((one, other) => (classOf ? classOf[one] - classOf[other] : 0));

function inWords(condition) {
  if (probabilities.length === 1) return "";
  if (!classOf) return `cluster ${condition + 1}`;
  const label = classOf[condition];
  const own = probabilities.map((_, one) => one).filter((one) => classOf[one] === label);
  return `class ${className(label)}${own.length > 1 ? ` · cluster ${own.indexOf(condition) + 1} of ${own.length}` : ""}`;
}

function showCaption(note) {
  const words = inWords(chosenCondition(state.seed, state.label));
  const title = document.createElement("b"), detail = document.createElement("span");
  title.textContent = `Seed ${state.seed}${words ? ` · ${words}` : ""}`;
  detail.textContent = note;
  $("caption").replaceChildren(title, detail);
  $("picture").setAttribute("aria-label", `What the generator draws of ${title.textContent}`);
}

/** Quote a word for a POSIX shell, where it needs it. */
const quoted = (word) => (/^[\w@%+=:,./-]+$/.test(word) ? word : `'${word.replaceAll("'", `'"'"'`)}'`);

const labelWords = (name) => (name.startsWith("-") ? [`--label=${name}`] : ["--label", name]);

/** Show what to type to draw the same with generate.py: the seed, or the interpolation. */
function showCommand() {
  const own = state.cluster >= 0 || state.offsets.some((offset) => offset) || (points && interpolating);
  const command = document.createElement("code");
  const words = ["python", "generate.py", "--model", about.model,
                 ...(interpolating ? ["--output", "path.gif", "--interpolate", `${state.seed},${state.seed + 1n}`]
                                   : ["--seeds", `${state.seed}`]),
                 ...(state.label >= 0 ? labelWords(className(state.label)) : []),
                 ...(state.truncation === 1 ? [] : ["--truncation", `${state.truncation}`])];
  command.textContent = words.map(quoted).join(" ");
  $("command").replaceChildren(...(own ? ["Only this page draws this."] : ["The same in Python: ", command]));
}

let progressTimer = 0;
function showProgress(done, all) {
  $("progress").max = Math.max(all, 1);
  $("progress").value = done;
  if (done === all || !all) {
    clearTimeout(progressTimer);
    progressTimer = 0;
    $("progress").hidden = true;
  } else if (!progressTimer) {  // not worth a word when it is over at once
    progressTimer = setTimeout(() => { $("progress").hidden = false; }, 150);
  }
}

// ---- drawing

function drawPicture(sample = sampleOf(state.seed), note = "") {
  artist.forget("picture");
  artist.draw("picture", [sample], ([numbers]) => {
    if (points) cloud.mark(placeOf(numbers, state.seed), interpolating > 0);
    else paint($("picture"), numbers);
    showCaption(note);
    document.body.dataset.drawn = state.seed;
    if (interpolating) requestAnimationFrame(advance);
  }, true);
}

/** Draw many samples, some at a time: whenDrawn is given the place of each and its numbers. */
function drawMany(group, samples, whenDrawn) {
  artist.forget(group);
  for (let start = 0; start < samples.length; start += CHUNK) {
    artist.draw(group, samples.slice(start, start + CHUNK), (results) => {
      results.forEach((numbers, i) => whenDrawn(start + i, numbers));
      if (points) cloud.show();
    });
  }
}

const grid = {
  tiles: [],  // {seed, label, button, canvas}

  /** Make the buttons anew. */
  build() {
    const columns = longest > 64 ? 4 : longest > 40 ? 6 : 8;
    const byClass = $("rows").value === "classes";
    const rows = byClass ? occurring() : Array(columns).fill(state.label);
    $("grid").style.setProperty("--columns", columns);
    this.tiles = rows.flatMap((label, row) => Array.from({ length: columns }, (_, column) => {
      const button = document.createElement("button"), canvas = document.createElement("canvas");
      const seed = state.seed + BigInt(byClass ? column : row * columns + column);
      [canvas.width, canvas.height] = [width, height];
      button.append(canvas);
      button.setAttribute("aria-label", `Seed ${seed}${byClass ? `, ${className(label)}` : ""}`);
      button.addEventListener("click", () => {
        choose(byClass ? { seed, label } : { seed }, false);
        this.mark(button);
      });
      return { seed, label, button, canvas };
    }));
    $("grid").replaceChildren(...this.tiles.map((tile) => tile.button));
    this.mark(byClass ? null : this.tiles[0].button);
    this.draw();
  },

  mark(chosen) {
    for (const { button } of this.tiles) button.setAttribute("aria-pressed", button === chosen);
  },

  draw() {
    const labelOf = (tile) => ($("rows").value === "classes" ? tile.label : state.label);
    const samples = this.tiles.map((tile) => sampleOf(tile.seed, labelOf(tile)));
    drawMany("grid", samples, (i, numbers) => paint(this.tiles[i].canvas, numbers));
  },
};

/** Return where a sample lies; numbers on a line are spread over the height, each by its seed. */
const placeOf = (numbers, seed) => [numbers[0], numbers[1] ?? (0.618 * Number(seed % 1000003n)) % 1 - 0.5];

const cloud = {
  places: [],  // of the seeds from 0 on: [x, y] or nothing yet
  chosen: null,  // the place of the chosen seed
  trail: [],  // the places that an interpolation has passed

  draw() {
    const seeds = Array.from({ length: +$("count").value }, (_, seed) => BigInt(seed));
    this.places.length = seeds.length;
    drawMany("cloud", seeds.map((seed) => sampleOf(seed)), (i, numbers) => {
      this.places[i] = placeOf(numbers, seeds[i]);
    });
  },

  mark(place, followed) {
    this.trail = followed ? [...this.trail.slice(-400), place] : [];
    this.chosen = place;
    this.show();
  },

  show() {
    const canvas = $("picture"), side = canvas.clientWidth, scale = window.devicePixelRatio || 1;
    canvas.width = canvas.height = Math.round(side * scale);
    const context = canvas.getContext("2d"), color = getComputedStyle(document.documentElement);
    const { center, extent } = about;
    const at = (place) => [((place[0] - center[0]) / extent[0] + 1) * side / 2,
      (1 - (place[1] - center[1]) / extent[1]) * side / 2];
    const line = (way) => {
      context.beginPath();
      way.forEach((place, i) => context[i ? "lineTo" : "moveTo"](...at(place)));
      context.stroke();
    };
    const dot = (place, radius) => {
      context.beginPath();
      context.arc(...at(place), radius, 0, 2 * Math.PI);
      context.fill();
    };
    context.scale(scale, scale);
    context.strokeStyle = color.getPropertyValue("--line");
    context.fillStyle = color.getPropertyValue("--quiet");
    context.font = "11px system-ui, sans-serif";
    const [left, bottom] = center.map((middle, axis) => middle - extent[axis]);
    const [right, top] = center.map((middle, axis) => middle + extent[axis]);
    for (const x of ticks(left, right)) {
      line([[x, bottom], [x, top]]);
      context.fillText(`${x}`, at([x, 0])[0] + 3, side - 4);
    }
    for (const y of about.sample_shape[0] > 1 ? ticks(bottom, top) : []) {
      line([[left, y], [right, y]]);
      context.fillText(`${y}`, 3, at([0, y])[1] - 4);
    }
    context.fillStyle = color.getPropertyValue("--dot");
    context.globalAlpha = 0.45;
    for (const place of this.places) if (place) dot(place, 1.8);
    context.globalAlpha = 1;
    if (!this.chosen) return;
    context.strokeStyle = context.fillStyle = color.getPropertyValue("--ink");
    context.lineWidth = 2;
    if (this.trail.length > 1) line(this.trail);
    dot(this.chosen, 6);
    context.fillStyle = color.getPropertyValue("--card");
    dot(this.chosen, 3);
  },

  /** Return the seed of the point that is nearest to a place of the canvas. */
  nearest(x, y) {
    const side = $("picture").clientWidth, { center, extent } = about;
    const [px, py] = [2 * x / side - 1, 1 - 2 * y / side];
    let best = 0, least = Infinity;
    this.places.forEach((place, seed) => {
      const distance = place ? ((place[0] - center[0]) / extent[0] - px) ** 2
        + ((place[1] - center[1]) / extent[1] - py) ** 2 : Infinity;
      if (distance < least) [best, least] = [seed, distance];
    });
    return BigInt(best);
  },
};

/** Return about six round numbers between two. */
function ticks(low, high) {
  const power = 10 ** Math.floor(Math.log10((high - low) / 6));
  const step = power * [1, 2, 5, 10].find((factor) => (high - low) / (factor * power) <= 7);
  const found = [];
  for (let n = Math.ceil(low / step); n * step <= high; n++) found.push(Number((n * step).toPrecision(6)));
  return found;
}

const drawAround = () => (points ? cloud.draw() : grid.draw());

// ---- choosing

/** Take over what was chosen, show it in the fields and draw. */
function choose(changes, rebuild = true) {
  stopInterpolation();
  const label = state.label;
  Object.assign(state, changes);
  if (state.label !== label) {
    state.cluster = -1;
    fillClusters();
  }
  $("seed").value = state.seed;
  $("seed").setAttribute("aria-invalid", false);
  $("class").value = state.label;
  $("reset").disabled = !state.offsets.some((offset) => offset);
  showCommand();
  drawPicture();
  if (rebuild && !points && "seed" in changes) grid.build();
  else if (rebuild && !(points && "seed" in changes)) drawAround();
}

/** The classes that the generator has seen images of, by number. */
const occurring = () => [...new Set(classOf)].sort((a, b) => a - b);

function fillClasses() {
  const labels = occurring();
  if (labels.length < 2) return;
  const names = [[-1, "any"], ...labels.map((label) => [label, className(label)])];
  $("class-field").hidden = false;
  $("rows").hidden = points;
  $("class").replaceChildren(...names.map(([label, name]) => new Option(name, label)));
}

function fillClusters() {
  const own = clusters(), total = own.reduce((sum, one) => sum + probabilities[one], 0);
  $("cluster-field").hidden = own.length < 2;
  $("cluster").replaceChildren(new Option("by seed", -1), ...own.map((condition, n) => {
    const share = (100 * probabilities[condition] / total).toFixed(1);
    const name = classOf && state.label < 0 ? inWords(condition) : `cluster ${n + 1}`;
    return new Option(`${name} · ${share} %`, condition);
  }));
  $("cluster").value = state.cluster;
}

function fillDirections() {
  $("directions-field").hidden = !about.directions.length;
  about.directions.forEach((_, n) => {
    const label = document.createElement("label"), input = document.createElement("input");
    const output = document.createElement("output");
    Object.assign(input, { type: "range", min: -4, max: 4, step: 0.05, value: 0 });
    input.setAttribute("aria-label", `Direction ${n + 1}`);
    output.textContent = "0.00";
    input.addEventListener("input", () => {
      output.textContent = (+input.value).toFixed(2);
      choose({ offsets: state.offsets.map((one, i) => (i === n ? +input.value : one)) });
    });
    label.append(`${n + 1}`, input, output);
    $("directions").append(label);
  });
}

function readSeed() {
  const text = $("seed").value.trim();
  if (/^\d{1,19}$/.test(text) && BigInt(text) <= LARGEST_SEED) choose({ seed: BigInt(text) });
  else $("seed").setAttribute("aria-invalid", true);
}

function onRange(id, shown, changes) {
  const input = $(id);
  input.addEventListener("input", () => {
    input.nextElementSibling.textContent = shown(+input.value);
    choose(changes(+input.value));
  });
}

// ---- interpolating from seed to seed

let interpolating = 0;  // when the seed was left, in milliseconds

function startInterpolation() {
  interpolating = performance.now();
  $("interpolate").setAttribute("aria-pressed", true);
  $("interpolate").textContent = "Stop";
  showCommand();
  advance();
}

function stopInterpolation() {
  if (!interpolating) return;
  interpolating = 0;
  $("interpolate").setAttribute("aria-pressed", false);
  $("interpolate").textContent = "Interpolate";
}

function advance() {
  if (!interpolating) return;
  let t = (performance.now() - interpolating) / PERIOD;
  if (t >= 1) {
    state.seed += 1n;
    $("seed").value = state.seed;
    showCommand();
    interpolating += PERIOD * Math.floor(t);
    t -= Math.floor(t);
  }
  drawPicture(sampleBetween(state.seed, t), `on the way to seed ${state.seed + 1n}`);
}

// ---- the beginning

function start() {
  document.body.className = `${about.kind}${longest && longest <= 64 ? " pixels" : ""}`;
  $("title").textContent = document.title;
  $("facts").textContent = [
    points ? (about.sample_shape[0] > 1 ? "points of the plane" : "points of a line") : `${width} × ${height} ${{ 1: "gray", 3: "RGB", 4: "RGBA" }[channels]}`,
    about.arch, about.epochs === null ? "" : `${about.epochs} epoch${about.epochs === 1 ? "" : "s"}`,
    !Number.isFinite(about.frechet) ? "" : `Fréchet distance ${Number(about.frechet.toPrecision(3))}`,
  ].filter(Boolean).join(" · ");
  if (!points) [$("picture").width, $("picture").height] = [width, height];
  $("grid-card").hidden = points;
  $("count-field").hidden = !points;
  fillClasses();
  fillClusters();
  fillDirections();
  $("class").addEventListener("change", () => choose({ label: +$("class").value }));
  $("cluster").addEventListener("change", () => choose({ cluster: +$("cluster").value }));
  $("seed").addEventListener("input", readSeed);
  $("previous").addEventListener("click", () => choose({ seed: state.seed > 0n ? state.seed - 1n : 0n }));
  $("next").addEventListener("click", () => choose({ seed: state.seed + 1n }));
  $("new").addEventListener("click", () => choose({ seed: BigInt(Math.floor(Math.random() * 1e6)) }));
  $("interpolate").addEventListener("click", () => (interpolating ? choose({ seed: state.seed }) : startInterpolation()));
  $("rows").addEventListener("change", () => grid.build());
  $("reset").addEventListener("click", () => {
    for (const input of $("directions").querySelectorAll("input")) {
      input.value = 0;
      input.nextElementSibling.textContent = "0.00";
    }
    choose({ offsets: state.offsets.map(() => 0) });
  });
  $("save").addEventListener("click", () => $("picture").toBlob((blob) => {
    const link = document.createElement("a");
    link.href = URL.createObjectURL(blob);
    link.download = `seed_${String(state.seed).padStart(6, "0")}.png`;
    link.click();
    setTimeout(() => URL.revokeObjectURL(link.href), 1000);
  }));
  onRange("truncation", (value) => value.toFixed(2), (value) => ({ truncation: value }));
  onRange("count", String, () => ({}));
  if (points) {
    $("picture").addEventListener("click", (event) => {
      choose({ seed: cloud.nearest(event.offsetX, event.offsetY) });
    });
    new ResizeObserver(() => cloud.show()).observe($("picture"));
    matchMedia("(prefers-color-scheme: dark)").addEventListener("change", () => cloud.show());
  }
  choose({ seed: 0n });
  if (points) cloud.draw();
}

start();
