"use strict";
// The page one decides with: a preference goes in, the plan that the run's policy answers comes out and is shown.
(function () {
  const data = Policy.prepared(JSON.parse(document.getElementById("explorer-data").textContent));
  const { space, names } = data;
  const OBJECTIVES = ["robustness", "utility", "compression"];
  const AXES = ["robustness R", "utility R", "sparsity"];
  const CORNERS = [[150, 26], [24, 232], [276, 232]];
  const unit = data.answer.kind === "grid" ? 100 / data.answer.steps : 1;
  const at = (id) => document.getElementById(id);
  const sum = (values) => values.reduce((total, value) => total + value, 0);
  const percent = (share, digits = 1) => `${(100 * share).toFixed(digits).replace("-", "−")}%`;
  const signed = (value, digits = 1) => `${value < 0 ? "−" : "+"}${Math.abs(value).toFixed(digits)}`;
  const safe = (text) => String(text).replace(/[&<>"]/g, (sign) => ({ "&": "&amp;", "<": "&lt;", ">": "&gt;", '"': "&quot;" })[sign]);
  const inPoints = (change) => (Math.abs(change) < 0.0005 ? "as before" : `${signed(100 * change)} points`);
  const number = (value, digits = 3) => value.toFixed(digits).replace("-", "−");
  const PINS = ["A", "B"];
  let weights = [34, 33, 33], sparsity = null, now = null;
  const pins = [null, null];

  // ---- From a preference to everything that is shown of its plan.

  function bytes(count) {
    const units = ["B", "kB", "MB", "GB", "TB"];
    let place = 0;
    for (; count >= 999.5 && place < units.length - 1; place++) count /= 1000;
    return `${Number(count.toPrecision(3))} ${units[place]}`;
  }

  function described(kept) {
    const ratios = kept.map((count, u) => 1 - count / space.widths[u]);
    const removed = sum(kept.map((count, u) => (space.widths[u] - count) * space.costs[u]));
    const shares = Object.fromEntries(Object.entries(data.totals).map(([name, total]) => [name, removed / total]));
    const { footprint, tables } = data;
    return {
      kept, ratios, shares,
      bytes: footprint && footprint.weights - sum(kept.map((count, u) => (footprint.neurons[u] - count) * footprint.neuron_bytes[u])),
      flops: tables.flops && Policy.saved(tables.flops, ratios),
      speed: tables.latency && 1 / (1 - Policy.saved(tables.latency, ratios)),
      accuracies: Policy.forecast(data, ratios),
      objectives: [...Policy.damage(data.surrogate, ratios).map((loss, k) => data.level[k] - loss), data.compression === "parameters" ? shares.mlp : Policy.saved(tables[data.compression], ratios)],
      measured: data.measured.find((each) => each.kept && each.kept.every((count, u) => count === kept[u])),
    };
  }

  const answered = (asked, share) => ({ weights: asked, sparsity: share, ...described(Policy.plan(data, asked, share).kept) });
  const dense = described(space.widths);

  function uniform(plan) {
    const share = sum(plan.ratios.map((ratio, u) => ratio * space.weights[u])) / sum(space.weights);
    return described(space.widths.map((width) => Math.round(width * (1 - share))));
  }

  // Whole steps that sum to 100; what the run did not measure weighs nothing.
  function allowed(wanted) {
    let asked = wanted.map((weight, k) => (data.asks[k] && Number.isFinite(weight) ? Math.max(weight, 0) : 0));
    if (sum(asked) === 0) asked = [0, 0, 1];
    asked = asked.map((weight) => (100 * weight) / sum(asked));
    const whole = asked.map((weight) => unit * Math.round(weight / unit));
    const order = [2, 0, 1].filter((k) => data.asks[k]);
    for (let rest = 100 - sum(whole), i = 0; rest !== 0; i++) {
      const k = order[i % order.length], step = Math.sign(rest) * unit;
      if (whole[k] + step < 0) continue;
      whole[k] += step;
      rest -= step;
    }
    return whole;
  }

  // ---- Drawing.

  const place = (asked) => [0, 1].map((axis) => sum(asked.map((weight, k) => (weight / 100) * CORNERS[k][axis])));

  function drawTriangle() {
    const lines = [25, 50, 75].flatMap((level) => [0, 1, 2].map((k) => {
      const ends = [1, 2].map((step) => place([0, 1, 2].map((j) => (j === k ? level : j === (k + step) % 3 ? 100 - level : 0))));
      return `<line class="grid" x1="${ends[0][0]}" y1="${ends[0][1]}" x2="${ends[1][0]}" y2="${ends[1][1]}"/>`;
    }));
    const corners = OBJECTIVES.map((name, k) =>
      `<text x="${CORNERS[k][0]}" y="${k ? 254 : 16}" text-anchor="${["middle", "start", "end"][k]}" dx="${[0, -18, 18][k]}"${data.asks[k] ? "" : ' class="tick"'}>${name}</text>`);
    const marks = pins.map((pin, i) => {
      if (!pin) return "";
      const [x, y] = place(pin.weights);
      return `<circle class="pin c${i + 2} hollow" cx="${x}" cy="${y}" r="9"/><text x="${x}" y="${y + 4}" text-anchor="middle">${PINS[i]}</text>`;
    });
    const [x, y] = place(weights);
    at("triangle").innerHTML = `<polygon class="floor" points="${CORNERS.join(" ")}"/>${lines.join("")}${corners.join("")}${marks.join("")}<circle class="dragged c1" cx="${x}" cy="${y}" r="11"/>`;
    at("triangle").setAttribute("aria-valuenow", weights[0]);
    at("triangle").setAttribute("aria-valuetext", OBJECTIVES.map((name, k) => `${name} ${weights[k]} percent`).join(", "));
  }

  function frame(id, width, height, drawn) {
    const svg = at(id);
    svg.setAttribute("viewBox", `0 0 ${width} ${height}`);
    svg.style.height = `${height}px`;
    svg.innerHTML = drawn;
  }

  const widthOf = (id) => Math.max(280, Math.round(at(id).parentElement.clientWidth));

  // Blocks as bars: all of the neurons pale, what is kept full; behind them how much the block looks at the picture.
  function drawBars() {
    const width = widthOf("bars"), left = 40, top = 46, tall = 170, units = space.widths.length;
    const each = (width - left - 4) / units, y = (share) => top + tall * (1 - share);
    let drawn = `<text class="axis" x="${left}" y="12">kept neurons of each block</text>`;
    drawn += `<rect class="q5" x="${left}" y="22" width="12" height="10"/><text class="tick" x="${left + 17}" y="31">kept</text>`;
    if (data.sensitivity) drawn += `<rect class="sight" x="${left + 60}" y="22" width="12" height="10"/><text class="tick" x="${left + 77}" y="31">attention to the picture</text>`;
    pins.forEach((pin, i) => { if (pin) drawn += `<line class="line c${i + 2}" x1="${left + 230 + 44 * i}" x2="${left + 246 + 44 * i}" y1="27" y2="27"/><text class="tick" x="${left + 250 + 44 * i}" y="31">${PINS[i]}</text>`; });
    for (const share of [0, 0.5, 1]) drawn += `<line class="grid" x1="${left}" x2="${width - 4}" y1="${y(share)}" y2="${y(share)}"/><text class="tick" text-anchor="end" x="${left - 5}" y="${y(share) + 4}">${100 * share}%</text>`;
    now.kept.forEach((count, u) => {
      const x = left + u * each, share = count / space.widths[u];
      if (data.sensitivity) drawn += `<rect class="sight" x="${x}" width="${each}" y="${y(data.sensitivity[u])}" height="${tall * data.sensitivity[u]}"/>`;
      drawn += `<rect class="q5" x="${x + 0.24 * each}" width="${0.52 * each}" y="${y(share)}" height="${tall * share}"><title>${safe(names[u])}: keeps ${count} of ${space.widths[u]} (${percent(share)})</title></rect>`;
    });
    pins.forEach((pin, i) => {
      if (!pin) return;
      pin.kept.forEach((count, u) => {
        const x = left + u * each, level = y(count / space.widths[u]);
        drawn += `<line class="line c${i + 2}" x1="${x + 0.08 * each}" x2="${x + 0.92 * each}" y1="${level}" y2="${level}"/>`;
      });
    });
    const every = Math.max(1, Math.ceil((20 * units) / (width - left)));
    names.forEach((name, u) => { if (u % every === 0) drawn += `<text class="tick" text-anchor="middle" x="${left + (u + 0.5) * each}" y="${top + tall + 16}">${u + 1}</text>`; });
    frame("bars", width, top + tall + 24, drawn);
    at("bars").setAttribute("aria-label", `What each block keeps: ${now.kept.map((count, u) => `${names[u]} ${percent(count / space.widths[u], 0)}`).join(", ")}`);
  }

  function ticks(low, high, most) {
    const rough = (high - low) / most, power = 10 ** Math.floor(Math.log10(rough));
    const step = [1, 2, 5, 10].find((times) => times * power >= rough * (1 - 1e-9)) * power;
    return Array.from({ length: Math.floor(high / step + 1e-9) - Math.ceil(low / step - 1e-9) + 1 }, (_, i) => (Math.ceil(low / step - 1e-9) + i) * step);
  }

  function drawMap() {
    const { points, front, view } = data.cloud;
    const width = widthOf("map"), left = 52, top = 44, tall = 280, saved = points.map((point) => point[2]);
    const shown = [now, ...pins.filter(Boolean), uniform(now)];
    const range = (k) => {
      const values = shown.map((plan) => plan.objectives[data.axes[k]]);
      return [Math.min(view[k][0], ...values), Math.max(view[k][1], ...values)];
    };
    const [[down, up], [begin, end]] = [range(0), range(1)], [upwards, along] = data.axes;
    const tick = (value, axis) => (axis === 2 ? percent(value, 0) : number(value, 2));
    const x = (value) => left + ((value - begin) / (end - begin)) * (width - left - 12), y = (value) => top + tall - ((value - down) / (up - down)) * tall;
    const least = Math.min(...saved), most = Math.max(...saved);
    const shade = (share) => Math.min(6, Math.max(0, Math.floor((7 * (share - least)) / Math.max(most - least, 0.01))));
    let drawn = `<text class="axis" x="${left}" y="12">${AXES[upwards]}</text>`;
    drawn += [["c1", "predicted"], ["c8", "one width"]].map(([color, name], i) =>
      `<circle class="${color}${i ? " hollow" : ""}" cx="${left + 7 + 96 * i}" cy="28" r="6"/><text class="tick" x="${left + 18 + 96 * i}" y="32">${name}</text>`).join("");
    for (const value of ticks(down, up, 5)) drawn += `<line class="grid" x1="${left}" x2="${width - 12}" y1="${y(value)}" y2="${y(value)}"/><text class="tick" text-anchor="end" x="${left - 6}" y="${y(value) + 4}">${tick(value, upwards)}</text>`;
    for (const value of ticks(begin, end, width > 500 ? 6 : 4)) drawn += `<text class="tick" text-anchor="middle" x="${x(value)}" y="${top + tall + 17}">${tick(value, along)}</text>`;
    drawn += `<text class="axis" text-anchor="middle" x="${(left + width) / 2}" y="${top + tall + 34}">${AXES[along]}</text>`;
    const inFront = new Set(front);
    points.forEach((point, i) => {
      if (point[upwards] < down || point[along] < begin) return;
      drawn += `<circle class="q${shade(point[2])} ${inFront.has(i) ? "front" : "dot"}" cx="${x(point[along]).toFixed(1)}" cy="${y(point[upwards]).toFixed(1)}" r="${inFront.has(i) ? 5 : 3}"/>`;
    });
    const mark = (plan, color, text) => {
      const [cx, cy] = [x(plan.objectives[along]), y(plan.objectives[upwards])];
      return `<circle class="${color}" cx="${cx}" cy="${cy}" r="8"/>` + (text ? `<text text-anchor="middle" x="${cx}" y="${cy + 4}">${text}</text>` : "");
    };
    drawn += mark(uniform(now), "c8 hollow", "");
    pins.forEach((pin, i) => { if (pin) drawn += mark(pin, `c${i + 2} hollow`, PINS[i]); });
    frame("map", width, top + tall + 42, drawn + mark(now, "c1", ""));
    const returns = [0, 1].filter((k) => data.asks[k]);
    const said = `Predicted for this plan: ${returns.map((k) => `${OBJECTIVES[k]} ${number(now.objectives[k])}`).join(", ")}, sparsity ${percent(now.shares.mlp)}.`;
    const tried = data.cloud.kept.findIndex((kept) => kept.every((count, u) => count === now.kept[u]));
    const measured = tried < 0 ? "" : ` The search tried this very plan and measured ${returns.map((k) => number(points[tried][k])).join(" and ")}.`;
    const key = `Colour is sparsity, from ${percent(least, 0)} to ${percent(most, 0)}; plans on the front are outlined.`;
    at("place").textContent = `${said}${measured} ${key} ${data.cloud.note}`;
    at("map").setAttribute("aria-label", `The plan among ${points.length} that the search tried. ${said}${measured}`);
  }

  // ---- Words and tables.

  function rows(plan) {
    const shown = [
      ["neurons removed", percent(plan.shares.mlp), plan.shares.mlp],
      ["of the language model", percent(plan.shares.language), plan.shares.language],
      ["of the whole model", percent(plan.shares.model), plan.shares.model],
    ];
    if (plan.bytes !== null) shown.push(["weights", bytes(plan.bytes), plan.bytes, (change) => `${change < 0 ? "−" : "+"}${bytes(Math.abs(change))}`]);
    if (plan.flops !== null) shown.push(["FLOPs saved", percent(plan.flops), plan.flops]);
    if (plan.speed !== null) shown.push(["forward pass", `${plan.speed.toFixed(2)}×`, plan.speed, (change) => `${signed(change, 2)}×`]);
    plan.accuracies.forEach(([accuracy, margin], b) => shown.push([`${data.forecast.titles[b]}, predicted`, `${percent(accuracy)} ± ${(100 * margin).toFixed(1)}`, accuracy]));
    data.benchmarks.forEach(({ name, title }) => {
      const score = plan.measured && plan.measured.scores[name];
      shown.push([`${title}, measured`, score === undefined || score === null || !plan.measured ? "–" : percent(score), score ?? NaN]);
    });
    return shown.map(([name, text, value, change = (by) => `${signed(100 * by)} points`]) => ({ name, text, value, change }));
  }

  function drawTables() {
    const left = [["this plan", now], ...pins.map((pin, i) => [PINS[i], pin]).filter(([, pin]) => pin)];
    const right = [["one width", uniform(now)], ["dense", dense]];
    const cells = left.map(([, plan]) => rows(plan)), others = right.map(([, plan]) => rows(plan));
    const both = pins[0] && pins[1] && pins.map(rows);
    const head = ["", ...left.map(([name]) => name), ...(both ? ["A to B"] : []), ...right.map(([name]) => name)];
    const body = cells[0].map(({ name }, i) => {
      const known = both && Number.isFinite(both[1][i].value - both[0][i].value);
      const change = !known ? "–" : both[0][i].text === both[1][i].text ? "same" : both[0][i].change(both[1][i].value - both[0][i].value);
      return [name, ...cells.map((column) => column[i].text), ...(both ? [change] : []), ...others.map((column) => column[i].text)];
    });
    const asked = ["preference", ...left.map(([, plan]) => plan.weights.join(",")), ...(both ? [""] : []), "", ""];
    at("plans").innerHTML = tableOf(head, [asked, ...body]);
    at("changes").textContent = both ? changes() : pins[0] || pins[1] ? "Pin another preference to see what changes between the two." : "";
    const bench = data.benchmarks;
    at("measured").innerHTML = data.measured.length ? tableOf(
      ["measured on held-out questions", "neurons removed", "weights", "speed", ...bench.map(({ title }) => title)],
      data.measured.map((each) => [
        each.label + (each === now.measured ? " (this plan)" : ""), each.mlp === null ? "0%" : percent(each.mlp), each.bytes === null ? "–" : bytes(each.bytes),
        each.speed === null ? "–" : `${each.speed.toFixed(2)}×`, ...bench.map(({ name }) => (each.scores[name] === undefined ? "–" : percent(each.scores[name]))),
      ])) : "";
  }

  const tableOf = (head, body) =>
    `<thead><tr>${head.map((cell) => `<th scope="col">${safe(cell)}</th>`).join("")}</tr></thead><tbody>${body.map(([first, ...cells]) => `<tr><th scope="row">${safe(first)}</th>${cells.map((cell) => `<td>${safe(cell)}</td>`).join("")}</tr>`).join("")}</tbody>`;

  function changes() {
    const by = pins[1].kept.map((count, u) => [count - pins[0].kept[u], u]).filter(([change]) => change !== 0).sort((a, b) => Math.abs(b[0]) - Math.abs(a[0]));
    if (!by.length) return "A and B are the same plan.";
    const told = by.slice(0, 6).map(([change, u]) => `${names[u]} ${signed(change, 0)}`).join(", ");
    return `From A to B, in kept neurons: ${told}${by.length > 6 ? `, and ${by.length - 6} more blocks` : ""}.`;
  }

  function commands() {
    const share = sparsity === null ? "" : ` --sparsity ${sparsity}`;
    const asked = `--preference ${weights.join(",")}${share}`;
    const folder = `${weights.join("-")}${sparsity === null ? "" : `-s${sparsity}`}`;
    return [`hipp-prune query ${data.run} ${asked}`, `hipp-prune prune --run ${data.run} ${asked} --out ${data.checkpoints}/${folder}`];
  }

  function show() {
    now = answered(weights, sparsity);
    weights.forEach((weight, k) => { at(`weight-${k}`).value = weight; });
    if (sparsity === null) at("sparsity").value = (100 * now.shares.mlp).toFixed(1);
    const size = now.bytes === null ? `${percent(now.shares.model)} of the model goes` : `${bytes(data.footprint.weights - now.bytes)} go (${percent(1 - now.bytes / data.footprint.weights)} of ${bytes(data.footprint.weights)})`;
    const told = now.accuracies.map(([accuracy], b) => `${data.forecast.titles[b]} ${inPoints(accuracy - dense.accuracies[b][0])}`);
    at("said").textContent = `Robustness ${weights[0]}, utility ${weights[1]}, compression ${weights[2]}: ${percent(now.shares.mlp)} of the MLP neurons go, ${size}${told.length ? `; predicted against the dense model: ${told.join(", ")}` : ""}.`;
    at("commands").innerHTML = commands().map((line) => `<span>${safe(line)}</span>`).join("");
    drawTriangle();
    drawBars();
    drawMap();
    drawTables();
  }

  // ---- What people do.

  let waiting = false;
  function ask(wanted) {
    weights = allowed(wanted);
    if (waiting) return;
    waiting = true;
    requestAnimationFrame(() => { waiting = false; show(); });
  }

  function pointed(event) {
    const box = at("triangle").getBoundingClientRect(), scale = 300 / box.width;
    const x = (event.clientX - box.left) * scale, y = (event.clientY - box.top) * scale, [a, b, c] = CORNERS;
    const robust = (b[1] - y) / (b[1] - a[1]), along = (x - b[0]) / (c[0] - b[0]) - robust / 2;
    ask([robust, 1 - robust - along, along].map((weight) => 100 * Math.max(weight, 0)));
  }

  function pressed(event) {
    const step = unit * (event.shiftKey ? 10 : 1);
    const moves = { ArrowUp: [1, -0.5, -0.5], ArrowDown: [-1, 0.5, 0.5], ArrowLeft: [0, 1, -1], ArrowRight: [0, -1, 1] };
    const move = moves[event.key];
    if (!move) return;
    event.preventDefault();
    let wanted = weights.map((weight, k) => weight + step * move[k]);
    if (move[0]) {
      const robust = Math.min(100, Math.max(0, wanted[0])), rest = weights[1] + weights[2];
      wanted = [robust, ...[1, 2].map((k) => (100 - robust) * (rest ? weights[k] / rest : 0.5))];
    }
    ask(wanted.map((weight) => Math.min(100, Math.max(0, weight))));
  }

  function typed(k) {
    const value = Math.min(100, Math.max(0, Number(at(`weight-${k}`).value)));
    const others = [0, 1, 2].filter((j) => j !== k && data.asks[j]), rest = sum(others.map((j) => weights[j]));
    ask(weights.map((weight, j) => (j === k ? value : !data.asks[j] ? 0 : (100 - value) * (rest ? weight / rest : 1 / others.length))));
  }

  function find() {
    const most = Number(at("points").value) / 100, step = unit > 5 ? unit : 10, met = [];
    for (let a = 0; a <= 100; a += step) for (let b = 0; a + b <= 100; b += step) {
      const asked = [a, b, 100 - a - b];
      if (asked.some((weight, k) => weight && !data.asks[k])) continue;
      const plan = answered(asked, sparsity);
      if (plan.accuracies.every(([accuracy], i) => dense.accuracies[i][0] - accuracy <= most + 1e-9)) met.push(plan);
    }
    met.sort((one, other) => other.shares.model - one.shares.model);
    at("found").textContent = met.length
      ? `Of the preferences in steps of ${step}%, ${met[0].weights.join(",")} saves most: ${percent(met[0].shares.mlp)} of the MLP neurons. A prediction is no measurement: evaluate what you prune.`
      : "No preference is predicted to lose so little; allow more points, or fix a smaller share to remove.";
    if (met.length) ask(met[0].weights);
  }

  at("triangle").addEventListener("pointerdown", (event) => { at("triangle").setPointerCapture(event.pointerId); pointed(event); });
  at("triangle").addEventListener("pointermove", (event) => { if (event.buttons) pointed(event); });
  at("triangle").addEventListener("keydown", pressed);
  OBJECTIVES.forEach((_, k) => {
    at(`weight-${k}`).disabled = !data.asks[k];
    at(`weight-${k}`).step = unit;
    at(`weight-${k}`).addEventListener("change", () => typed(k));
  });
  function fixed() {
    at("sparsity").disabled = !at("fix").checked;
    const share = Number(at("sparsity").value) / 100;
    sparsity = at("fix").checked ? Number(Math.min(Math.max(share, 0), data.attainable).toFixed(4)) : null;
    if (sparsity !== null) at("sparsity").value = 100 * sparsity;
    ask(weights);
  }
  at("fix").addEventListener("change", fixed);
  at("sparsity").addEventListener("change", fixed);
  at("fixed").hidden = data.answer.kind === "grid";
  if (!data.forecast) {
    at("asked").hidden = true;
    at("found").textContent = `Nothing can be predicted: ${data.no_forecast}. Evaluate two or three plans, and choose by what is measured.`;
  }
  at("find").addEventListener("click", find);
  PINS.forEach((_, i) => at(`pin-${i}`).addEventListener("click", () => { pins[i] = now; show(); }));
  at("unpin").addEventListener("click", () => { pins.fill(null); show(); });
  at("copy").addEventListener("click", () => { if (navigator.clipboard) navigator.clipboard.writeText(commands().join("\n")); getSelection().selectAllChildren(at("commands")); });
  addEventListener("resize", show);
  weights = allowed([34, 33, 33]);
  show();
})();
