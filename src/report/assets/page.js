// SPDX-License-Identifier: Apache-2.0
// The page's switches: zoom, values under the pointer, runs and texts to show or hide, dark or light.
// Charts are drawn anew from the numbers in #cpx-data, by the same rules as src/report/svg_chart.cpp.
// Texts only ever become text nodes.
"use strict";
(() => {
  const root = document.documentElement;
  const data = JSON.parse(document.getElementById("cpx-data").textContent);
  root.classList.add("has-script");

  // ---- Dark or light, texts ----

  document.getElementById("theme").addEventListener("click", () => {
    const isDark = root.dataset.theme
      ? root.dataset.theme === "dark"
      : matchMedia("(prefers-color-scheme: dark)").matches;
    root.dataset.theme = isDark ? "light" : "dark";
  });

  const showTexts = document.getElementById("show-texts");
  if (showTexts) {
    showTexts.addEventListener("click", () => {
      const isShown = showTexts.getAttribute("aria-pressed") !== "true";
      showTexts.setAttribute("aria-pressed", String(isShown));
      for (const details of document.querySelectorAll(".unscored, .toxic")) details.open = isShown;
    });
  }

  if (!data) return;

  // ---- Charts ----

  const [width, height, left, right, top, bottom] = data.size;
  const plotLeft = left, plotRight = width - right, plotTop = top, plotBottom = height - bottom;
  const hidden = new Set();
  const views = [];
  let zoom = null;      // the steps that are shown: [first, last]
  let allLog = false;

  const shown = (value) => {
    const size = Math.abs(value);
    if (value === 0) return "0";
    if (size >= 1e9 || size < 1e-3) return value.toPrecision(4);
    if (Number.isInteger(value) || size >= 1000) return Math.round(value).toLocaleString("en");
    return String(Number(value.toPrecision(4)));
  };

  const element = (name, attributes, text) => {
    const made = document.createElementNS("http://www.w3.org/2000/svg", name);
    for (const key in attributes) made.setAttribute(key, attributes[key]);
    if (text !== undefined) made.textContent = text;
    return made;
  };

  const roundLinear = (low, high, count) => {
    const rough = (high - low) / count;
    const power = 10 ** Math.floor(Math.log10(rough));
    const step = power * ([1, 2, 5].find((factor) => factor * power >= rough) || 10);
    const values = [];
    for (let k = Math.ceil(low / step - 1e-9); k * step <= high + 1e-9 * step; ++k) {
      values.push(Number((k * step).toPrecision(12)));
    }
    return values;
  };

  const roundLog = (low, high, count) => {
    const decades = Math.log10(high / low);
    if (decades < 0.5) return roundLinear(low, high, count);
    const factors = decades < 3 ? [1, 2, 5] : [1];
    const every = Math.max(1, Math.ceil(decades / count));
    const values = [];
    for (let k = Math.floor(Math.log10(low)); 10 ** k <= high; k += every) {
      for (const factor of factors) {
        const value = factor * 10 ** k;
        if (value >= low && value <= high) values.push(value);
      }
    }
    return values;
  };

  const valueScale = (low, high, isLog) => {
    if (isLog && low > 0) {
      const room = Math.max((high / low) ** 0.05, 1.01);
      low /= room;
      high *= room;
      const place = (value) =>
        plotBottom + (Math.log(value / low) / Math.log(high / low)) * (plotTop - plotBottom);
      return { place, marks: roundLog(low, high, 5) };
    }
    const range = high - low;
    const room = range > 0 ? 0.05 * range : Math.max(0.1 * Math.abs(low), 1e-6);
    low -= room;
    high += room;
    const place = (value) => plotBottom + ((value - low) / (high - low)) * (plotTop - plotBottom);
    return { place, marks: roundLinear(low, high, 5) };
  };

  // The mean of each point and its neighbours, fewer of them at both ends.
  const smoothed = (mean, window) => {
    const reach = (window - 1) / 2;
    return mean.map((_, i) => {
      const near = Math.min(reach, i, mean.length - 1 - i);
      let sum = 0;
      for (let k = i - near; k <= i + near; ++k) sum += mean[k];
      return sum / (2 * near + 1);
    });
  };

  for (const chart of data.charts) {
    for (const line of chart.lines) {
      line.step = data.steps[line.steps];
      line.smooth = line.window > 1 ? smoothed(line.mean, line.window) : null;
    }
  }

  const linesOf = (chart) => chart.lines.filter((line) => !hidden.has(line.run) || data.runs.length === 1);

  // From the last point in front of the shown steps to the first behind them.
  const rangeOf = (line, first, last) => {
    let begin = 0, end = line.step.length;
    while (begin < end - 1 && line.step[begin + 1] <= first) ++begin;
    while (end > begin + 1 && line.step[end - 2] >= last) --end;
    return [begin, end];
  };

  const pathOf = (x, y, line, values, [begin, end]) => {
    let path = "";
    for (let i = begin; i < end; ++i) {
      path += `${i === begin ? "M" : "L"}${x(line.step[i]).toFixed(1)} ${y(values[i]).toFixed(1)}`;
    }
    return path;
  };

  const bandOf = (x, y, line, range) => {
    let path = pathOf(x, y, line, line.high, range);
    for (let i = range[1] - 1; i >= range[0]; --i) {
      path += `L${x(line.step[i]).toFixed(1)} ${y(line.low[i]).toFixed(1)}`;
    }
    return path + "Z";
  };

  const drawAxes = (view, x, scale, first, last) => {
    for (const value of scale.marks) {
      const y = scale.place(value);
      view.plot.append(element("path", { class: "grid", d: `M${plotLeft} ${y.toFixed(1)}H${plotRight}` }),
        element("text", { class: "up", x: plotLeft - 6, y: y + 4 }, String(Number(value.toPrecision(6)))));
    }
    for (const step of roundLinear(first, last, 6)) {
      if (step < first || step > last) continue;
      view.plot.append(element("text", { class: "across", x: x(step), y: plotBottom + 16 }, shown(step)));
    }
    view.plot.append(element("path", { class: "base", d: `M${plotLeft} ${plotBottom}H${plotRight}` }),
      element("text", { class: "across", x: (plotLeft + plotRight) / 2, y: height - 4 }, "step"));
  };

  const drawLine = (view, x, y, line, range) => {
    const classes = `r${line.run % data.colors} s${line.style}`;
    const add = (kind, d) => view.curves.append(element("path", { class: `${kind} ${classes}`, d }));
    if (line.low) add("band", bandOf(x, y, line, range));
    add(line.smooth ? "thin" : "line", pathOf(x, y, line, line.mean, range));
    if (line.smooth) add("line", pathOf(x, y, line, line.smooth, range));
    if (line.smooth || range[1] - range[0] > 40) return;
    for (let i = range[0]; i < range[1]; ++i) {
      view.curves.append(element("circle", { class: `dot ${classes}`, cx: x(line.step[i]), cy: y(line.mean[i]), r: 2.5 }));
    }
  };

  const drawLetters = (view, x, y, lines, last) => {
    const letters = [];
    for (const line of lines) {
      const end = line.step.length - 1;
      if (!line.letter || line.step[end] > last) continue;
      letters.push({ line, x: x(line.step[end]) + 5, y: y((line.smooth || line.mean)[end]) + 4 });
    }
    letters.sort((a, b) => a.y - b.y);
    letters.forEach((letter, i) => {
      if (i > 0) letter.y = Math.max(letter.y, letters[i - 1].y + 12);
    });
    let limit = plotBottom;
    for (const letter of [...letters].reverse()) {
      letter.y = Math.min(letter.y, limit);
      limit = letter.y - 12;
    }
    letters.forEach((letter) => {
      view.plot.append(element("text",
        { class: `letter r${letter.line.run % data.colors}`, x: letter.x, y: letter.y }, letter.line.letter));
    });
  };

  // Few values far from all others would flatten the curves: see shown_values() of svg_chart.cpp.
  const shownValues = (lines, ranges, first, last, isLog) => {
    let lowest = Infinity, highest = -Infinity, low = Infinity, high = -Infinity, isSmoothed = false;
    const means = [];
    lines.forEach((line, k) => {
      for (let i = ranges[k][0]; i < ranges[k][1]; ++i) {
        if (line.step[i] < first || line.step[i] > last) continue;
        lowest = Math.min(lowest, line.low ? line.low[i] : line.mean[i]);
        highest = Math.max(highest, line.high ? line.high[i] : line.mean[i]);
        means.push(line.mean[i]);
        if (!line.smooth) continue;
        isSmoothed = true;
        low = Math.min(low, line.smooth[i]);
        high = Math.max(high, line.smooth[i]);
      }
    });
    if (means.length === 0) return [0, 1];
    if (!isSmoothed || (isLog && lowest > 0)) return [lowest, highest];
    means.sort((a, b) => a - b);
    const outside = Math.floor(0.02 * means.length);
    low = Math.min(low, means[outside]);
    high = Math.max(high, means[means.length - 1 - outside]);
    const room = 0.25 * (high - low);
    return [Math.max(lowest, low - room), Math.min(highest, high + room)];
  };

  const draw = (view) => {
    const lines = linesOf(view.chart);
    view.plot.replaceChildren();
    view.isDrawn = true;
    view.lines = lines;
    if (lines.length === 0) return;
    let first = Math.min(...lines.map((line) => line.step[0]));
    let last = Math.max(...lines.map((line) => line.step[line.step.length - 1]));
    view.extent = [first, last];
    if (zoom) [first, last] = zoom;
    if (first === last) [first, last] = [first - 0.5, last + 0.5];
    const x = (step) => plotLeft + ((step - first) / (last - first)) * (plotRight - plotLeft);
    const ranges = lines.map((line) => rangeOf(line, first, last));
    const isLog = view.chart.log || allLog;
    const [low, high] = shownValues(lines, ranges, first, last, isLog);
    const scale = valueScale(low, high, isLog);
    view.x = x;
    view.stepAt = (place) => first + ((place - plotLeft) / (plotRight - plotLeft)) * (last - first);
    drawAxes(view, x, scale, first, last);
    view.curves = element("g", { "clip-path": `url(#${view.svg.id}-clip)` });
    view.plot.append(view.curves);
    lines.forEach((line, k) => drawLine(view, x, scale.place, line, ranges[k]));
    drawLetters(view, x, scale.place, lines, last);
  };

  const drawAll = () => views.forEach(draw);

  // ---- Zoom ----

  const setZoom = (first, last) => {
    for (const view of views) if (!view.isDrawn) draw(view);
    const extents = views.filter((view) => view.extent).map((view) => view.extent);
    const lowest = Math.min(...extents.map((extent) => extent[0]));
    const highest = Math.max(...extents.map((extent) => extent[1]));
    if (first === null) [first, last] = [lowest, highest];
    const size = Math.min(Math.max(last - first, 1), highest - lowest);
    first = Math.min(Math.max(first, lowest), highest - size);
    zoom = first <= lowest && first + size >= highest ? null : [first, first + size];
    drawAll();
  };

  const zoomBy = (factor, shift) => {
    const first = views.find((view) => (view.isDrawn || draw(view), view.extent));
    if (!first) return;
    const [low, high] = zoom || [
      Math.min(...views.map((view) => (view.isDrawn || draw(view), view.extent ? view.extent[0] : Infinity))),
      Math.max(...views.map((view) => (view.extent ? view.extent[1] : -Infinity)))];
    const middle = (low + high) / 2 + shift * (high - low);
    const half = ((high - low) / 2) * factor;
    setZoom(middle - half, middle + half);
  };

  const actions = {
    in: () => zoomBy(0.5, 0),
    out: () => zoomBy(2, 0),
    left: () => zoomBy(1, -0.5),
    right: () => zoomBy(1, 0.5),
    all: () => setZoom(null, null),
    log: (button) => {
      allLog = !allLog;
      button.setAttribute("aria-pressed", String(allLog));
      drawAll();
    },
  };
  for (const button of document.querySelectorAll("[data-zoom]")) {
    button.addEventListener("click", () => actions[button.dataset.zoom](button));
  }

  // ---- Values under the pointer ----

  const values = document.createElement("div");
  values.id = "values";
  values.hidden = true;
  document.body.append(values);

  const nearest = (steps, step) => {
    let low = 0, high = steps.length - 1;
    while (low < high) {
      const middle = (low + high) >> 1;
      if (steps[middle] < step) low = middle + 1; else high = middle;
    }
    return low > 0 && step - steps[low - 1] <= steps[low] - step ? low - 1 : low;
  };

  const valueText = (line, i) => {
    const range = line.low ? ` (${shown(line.low[i])} to ${shown(line.high[i])})` : "";
    const mean = line.smooth ? `, mean ${shown(line.smooth[i])}` : "";
    return `${line.name}: ${shown(line.mean[i])}${range}${mean}`;
  };

  const hideValues = (view) => {
    values.hidden = true;
    view.cursor.setAttribute("d", "");
  };

  const showValues = (view, event, step) => {
    values.replaceChildren();
    const head = document.createElement("div");
    head.textContent = `step ${shown(Math.round(step))}`;
    values.append(head);
    for (const line of view.lines) {
      const i = nearest(line.step, step);
      const row = document.createElement("div");
      const swatch = element("svg", { class: "swatch", viewBox: "0 0 28 10" });
      swatch.append(element("path", { class: `line r${line.run % data.colors} s${line.style}`, d: "M1 5H27" }));
      const text = document.createElement("span");
      text.textContent = valueText(line, i);
      row.append(swatch, text);
      values.append(row);
    }
    values.hidden = false;
    const box = values.getBoundingClientRect();
    values.style.left = `${Math.max(4, Math.min(event.clientX + 14, innerWidth - box.width - 8))}px`;
    values.style.top = `${Math.max(4, Math.min(event.clientY + 14, innerHeight - box.height - 8))}px`;
    view.cursor.setAttribute("d", `M${view.x(step).toFixed(1)} ${plotTop}V${plotBottom}`);
  };

  const placeOf = (view, event) => {
    const box = view.svg.getBoundingClientRect();
    return Math.min(Math.max(((event.clientX - box.left) / box.width) * width, plotLeft), plotRight);
  };

  const watch = (view) => {
    let begin = null;
    view.svg.addEventListener("pointermove", (event) => {
      if (!view.isDrawn) draw(view);
      if (view.lines.length === 0) return;
      const place = placeOf(view, event);
      if (begin !== null) {
        view.brush.setAttribute("x", Math.min(begin, place));
        view.brush.setAttribute("width", Math.abs(place - begin));
      }
      showValues(view, event, view.stepAt(place));
    });
    view.svg.addEventListener("pointerdown", (event) => {
      if (event.button !== 0 || event.pointerType === "touch") return;
      if (!view.isDrawn) draw(view);
      begin = placeOf(view, event);
      view.svg.setPointerCapture(event.pointerId);
      event.preventDefault();
    });
    view.svg.addEventListener("pointerup", (event) => {
      if (begin === null) return;
      const end = placeOf(view, event);
      const steps = [begin, end].sort((a, b) => a - b).map(view.stepAt);
      const isDrag = Math.abs(end - begin) > 8;
      begin = null;
      view.brush.setAttribute("width", 0);
      if (isDrag) setZoom(...steps);
    });
    view.svg.addEventListener("pointerleave", () => hideValues(view));
    view.svg.addEventListener("dblclick", () => setZoom(null, null));
  };

  for (const figure of document.querySelectorAll(".chart")) {
    const svg = figure.querySelector(":scope > svg");
    const view = { svg, chart: data.charts[Number(figure.dataset.chart)], plot: svg.querySelector(".plot"), isDrawn: false, lines: [] };
    // A title in the picture would cover the values.
    const title = svg.querySelector("title"), description = svg.querySelector("desc");
    svg.setAttribute("aria-label", `${title.textContent}. ${description.textContent}`);
    svg.removeAttribute("aria-labelledby");
    title.remove();
    svg.append(svg.querySelector("clipPath"));  // it stays when the plot is drawn anew
    view.brush = element("rect", { class: "brush", x: 0, y: plotTop, width: 0, height: plotBottom - plotTop });
    view.cursor = element("path", { class: "cursor", d: "" });
    svg.append(view.brush, view.cursor);
    views.push(view);
    watch(view);
  }

  for (const box of document.querySelectorAll(".switch")) {
    box.addEventListener("change", () => {
      const run = Number(box.dataset.run);
      if (box.checked) hidden.delete(run); else hidden.add(run);
      drawAll();
    });
  }
})();
