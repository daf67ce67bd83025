"use strict";
// The page's behavior: theme, pictures over time, charts by BokehJS. Text enters by textContent only.
(() => {
const data = JSON.parse(document.getElementById("data").textContent);
const root = document.documentElement;
const byId = (id) => document.getElementById(id);
const color = (name) => getComputedStyle(root).getPropertyValue(name).trim();
const make = (tag, className, text) => {
  const node = document.createElement(tag);
  if (className) node.className = className;
  if (text !== undefined) node.textContent = text;
  return node;
};
// Storage may be forbidden for pages from disk.
const remember = (store, key, value) => { try { window[store].setItem(key, value); } catch { } };
const recall = (store, key) => { try { return window[store].getItem(key); } catch { return null; } };

function shown(value) {
  if (value === null || value === undefined || Number.isNaN(value)) return "–";
  const size = Math.abs(value);
  if (size !== 0 && (size < 1e-3 || size >= 1e6)) return value.toExponential(2);
  return String(Number(value.toPrecision(4)));
}

// ---- pictures ----
const stops = data.stops;
function show(index) {
  const stop = stops[index];
  byId("when").textContent = `${shown(stop)} kimg`;
  for (const image of document.querySelectorAll("img.sample")) {
    const pictures = data.runs[image.dataset.run].pictures;
    const at = pictures.findLastIndex((picture) => picture.kimg <= stop);
    const picture = pictures[Math.max(0, at)];
    image.src = picture.uri;
    image.parentNode.querySelector(".caption").textContent = `${shown(picture.kimg)} kimg`;
  }
  for (const button of byId("strip").children) {
    button.classList.toggle("on", Number(button.dataset.index) === index);
  }
  remember("sessionStorage", "ganforge-time", index === stops.length - 1 ? "last" : String(index));
}

function fillStrip() {
  if (data.runs.length > 1) return;
  const pictures = data.runs[0].pictures;
  const count = Math.min(8, pictures.length);
  if (count < 2) return;
  for (let number = 0; number < count; number++) {
    const picture = pictures[Math.round((number * (pictures.length - 1)) / (count - 1))];
    const button = make("button");
    button.type = "button";
    button.dataset.index = stops.indexOf(picture.kimg);
    const image = make("img");
    image.src = picture.uri;
    image.alt = "";
    button.append(image, `${shown(picture.kimg)}`);
    button.addEventListener("click", () => { byId("time").value = button.dataset.index; show(Number(button.dataset.index)); });
    byId("strip").append(button);
  }
}

if (byId("time")) {
  const slider = byId("time");
  fillStrip();
  const saved = recall("sessionStorage", "ganforge-time");
  slider.value = saved === null || saved === "last" ? stops.length - 1 : Math.min(Number(saved), stops.length - 1);
  slider.addEventListener("input", () => show(Number(slider.value)));
  show(Number(slider.value));
}

// ---- charts ----
const charts = [];
let isSmooth = false;
let syncing = false;

function smoothed(values) {
  // An exponential mean with the bias of its start removed.
  const decay = 1 - 1 / Math.max(5, values.length / 60);
  let sum = 0, weight = 0;
  return values.map((value) => {
    sum = decay * sum + (1 - decay) * value;
    weight = decay * weight + (1 - decay);
    return sum / weight;
  });
}

function linesOf(chart) {
  return chart.lines.map((line, index) => {
    const x = line.x ?? data.runs[line.run].columns.kimg;
    const y = line.y ?? data.runs[line.run].columns[line.key];
    // A record lacks what is computed only every few steps: the line goes over it.
    const known = [...y.keys()].filter((place) => y[place] !== null);
    const at = { x: known.map((place) => x[place]), y: known.map((place) => y[place]) };
    return { ...line, ...at, smooth: smoothed(at.y), slot: data.runs.length > 1 ? line.run : index };
  });
}

async function build(chart) {
  const lines = linesOf(chart);
  const box = make("div", "chart");
  const legend = make("div", "legend");
  const target = make("div", "plot");
  const cursor = make("div", "cursor");
  box.append(make("h3", "", chart.title));
  if (chart.note) box.append(make("div", "unlike", chart.note));
  box.append(legend, target, cursor);
  byId("charts").append(box);
  const x_range = new Bokeh.Range1d({ start: data.start, end: data.end });
  const y_range = new Bokeh.Range1d({ start: 0, end: 1 });
  const fig = Bokeh.Plotting.figure({
    height: 215, sizing_mode: "stretch_width", tools: [], toolbar_location: null, x_range, y_range,
    background_fill_color: null, border_fill_color: null, outline_line_color: null,
    min_border_left: 56, min_border_right: 12, min_border_top: 4,
  });
  const zoom = new Bokeh.BoxZoomTool({ dimensions: "width" });
  fig.add_tools(zoom);
  fig.toolbar.active_drag = zoom;
  const made = { ...chart, lines, box, target, cursor, fig, x_range, y_range };
  for (const line of lines) draw(made, line, legend);
  for (const run of data.runs) {
    for (const alarm of run.alarms) {
      const mark = new Bokeh.Span({ dimension: "height", location: alarm.kimg, line_dash: "dotted" });
      fig.add_layout(mark);
      (made.marks ??= []).push(mark);
    }
  }
  for (const axis of [fig.xaxis, fig.yaxis].flat()) {
    axis.formatter = new Bokeh.BasicTickFormatter({ power_limit_low: -5, power_limit_high: 6 });
    Object.assign(axis, { minor_tick_line_color: null, major_tick_line_color: null, axis_line_color: null, major_label_text_font_size: "11px", major_label_text_font: "system-ui, sans-serif" });
  }
  [fig.xaxis].flat()[0].ticker = new Bokeh.BasicTicker({ desired_num_ticks: 5 });
  [fig.yaxis].flat()[0].ticker = new Bokeh.BasicTicker({ desired_num_ticks: 4 });
  Object.assign([fig.xaxis].flat()[0], { axis_label: "kimg", axis_label_standoff: 2, axis_label_text_font: "system-ui, sans-serif", axis_label_text_font_size: "11px", axis_label_text_font_style: "normal" });
  [fig.xgrid].flat().forEach((grid) => { grid.grid_line_color = null; });
  fig.on_event("mousemove", (event) => point(made, event));
  fig.on_event("mouseleave", () => leave());
  fig.on_event("doubletap", () => zoomTo(data.start, data.end));
  const changed = () => { if (!syncing) zoomTo(x_range.start, x_range.end); };
  x_range.change.connect(changed);
  charts.push(made);
  paint(made);
  fit(made);
  made.view = await Bokeh.Plotting.show(fig, target);
}

function draw(chart, line, legend) {
  const { fig } = chart;
  const source = (y) => new Bokeh.ColumnDataSource({ data: { x: line.x, y } });
  const fields = [{ field: "x" }, { field: "y" }];
  const dash = line.is_dashed ? "dashed" : "solid";
  const hue = color(`--c${line.slot % 8}`);
  const look = { color: hue, line_dash: dash };
  line.rawGlyph = fig.line(...fields, { source: source(line.y), line_width: 1.5, ...look });
  line.smoothGlyph = fig.line(...fields, { source: source(line.smooth), line_width: 2, ...look });
  // Of few records, one by itself would not be seen.
  line.dots = line.x.length <= 40 ? fig.scatter(...fields, { source: source(line.y), size: 4, color: hue }) : null;
  const entry = make("button");
  entry.type = "button";
  line.swatch = make("i");
  line.swatch.hidden = chart.lines.length === 1;
  Object.assign(line.swatch.style, { borderTopStyle: dash, color: hue });
  line.readout = make("b");
  entry.append(line.swatch, make("span", "", line.name), line.readout);
  entry.addEventListener("click", () => {
    line.off = !line.off;
    entry.classList.toggle("off", line.off);
    paint(chart);
    fit(chart);
  });
  legend.append(entry);
}

function paint(chart) {
  const { fig, lines } = chart;
  for (const line of lines) {
    line.rawGlyph.glyph.line_alpha = { value: isSmooth ? 0.25 : 1 };
    line.rawGlyph.visible = !line.off;
    line.smoothGlyph.visible = !line.off && isSmooth;
    if (line.dots) line.dots.visible = !line.off && !isSmooth;
  }
  for (const axis of [fig.xaxis, fig.yaxis].flat()) {
    axis.major_label_text_color = axis.axis_label_text_color = color("--soft");
  }
  [fig.ygrid].flat().forEach((grid) => { grid.grid_line_color = color("--line"); });
  (chart.marks ?? []).forEach((mark) => { mark.line_color = color("--warn"); });
}

function fit(chart) {
  // The vertical range follows what is visible; smoothing hides spikes from it, too.
  let low = Infinity, high = -Infinity;
  const { start, end } = chart.x_range;
  for (const line of chart.lines) {
    if (line.off) continue;
    const values = isSmooth ? line.smooth : line.y;
    values.forEach((value, index) => {
      if (line.x[index] < start || line.x[index] > end) return;
      low = Math.min(low, value);
      high = Math.max(high, value);
    });
  }
  if (low > high) return;
  const room = (high - low || Math.abs(high) || 1) * 0.06;
  // A small change should look small, unless zero is far from all numbers.
  if (low >= 0 && (chart.from_zero || low < 0.5 * high)) low = room;
  chart.y_range.setv({ start: low - room, end: high + room });
}

function zoomTo(start, end) {
  syncing = true;
  for (const chart of charts) {
    chart.x_range.setv({ start, end });
    fit(chart);
  }
  syncing = false;
  byId("reset").hidden = start <= data.start && end >= data.end;
}

function nearest(values, wanted) {
  let low = 0, high = values.length - 1;
  while (high - low > 1) {
    const middle = (low + high) >> 1;
    if (values[middle] < wanted) low = middle; else high = middle;
  }
  return wanted - values[low] < values[high] - wanted ? low : high;
}

function point(chart, event) {
  const { start, end } = chart.x_range;
  if (!(event.x >= start && event.x <= end)) return leave();
  for (const other of charts) {
    for (const line of other.lines) {
      const index = nearest(line.x, event.x);
      line.readout.textContent = shown((isSmooth ? line.smooth : line.y)[index]);
    }
  }
  Object.assign(chart.cursor.style, {
    display: "block", left: `${chart.target.offsetLeft + event.sx}px`,
    top: `${chart.target.offsetTop}px`, height: "185px",
  });
  byId("where").textContent = `at ${shown(event.x)} kimg`;
}

function leave() {
  byId("where").textContent = "";
  for (const chart of charts) {
    chart.cursor.style.display = "none";
    chart.lines.forEach((line) => { line.readout.textContent = ""; });
  }
}

async function buildAll() {
  Bokeh.set_log_level("warn");
  const smooth = byId("smooth");
  isSmooth = smooth.checked = Math.max(...data.runs.map((run) => run.columns.kimg?.length ?? 0)) > 200;
  smooth.addEventListener("change", () => {
    isSmooth = smooth.checked;
    charts.forEach((chart) => { paint(chart); fit(chart); });
  });
  byId("reset").addEventListener("click", () => zoomTo(data.start, data.end));
  const pending = [];
  for (const chart of data.charts) {
    pending.push(build(chart));
    await new Promise((resolve) => { setTimeout(resolve); });  // the page answers in between
  }
  await Promise.all(pending);
}

// ---- theme ----
function setTheme(theme) {
  root.dataset.theme = theme;
  byId("theme").textContent = theme === "dark" ? "Light" : "Dark";
  charts.forEach(paint);
}
setTheme(root.dataset.theme);
byId("theme").addEventListener("click", () => {
  const theme = root.dataset.theme === "dark" ? "light" : "dark";
  remember("localStorage", "ganforge-theme", theme);
  setTheme(theme);
});
matchMedia("(prefers-color-scheme: dark)").addEventListener("change", (event) => {
  if (!recall("localStorage", "ganforge-theme")) setTheme(event.matches ? "dark" : "light");
});
// A printer cannot wait until BokehJS has drawn for another width and theme: it gets pictures.
let themeOnScreen = null;
addEventListener("beforeprint", () => {
  themeOnScreen = root.dataset.theme;
  setTheme("light");
  for (const chart of charts.filter((made) => made.view)) {
    const { canvas } = chart.view.export("png");
    canvas.className = "printed";
    chart.target.after(canvas);
  }
});
addEventListener("afterprint", () => {
  document.querySelectorAll("canvas.printed").forEach((canvas) => canvas.remove());
  setTheme(themeOnScreen);
});

// ---- refresh, when served ----
if (data.served) {
  setInterval(async () => {
    try {
      const stamp = await (await fetch("/stamp")).text();
      if (stamp !== data.stamp) location.reload();
    } catch { }  // the server has ended; the page stays
  }, 2000);
}

(data.charts.length ? buildAll() : Promise.resolve()).then(() => { root.dataset.ready = String(Math.round(performance.now())); });
})();
