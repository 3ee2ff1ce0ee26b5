"use strict";
// A run's policy in a page: what `hipp-prune query` answers, from the same numbers. Shapes: U units.
// The names and the steps are those of search/policy/network.py, search/surrogate.py and plans/allocation.py.
const Policy = (function () {
  const ROUNDING = 1e-9, TINY = 2.2250738585072014e-308;
  const sum = (values) => values.reduce((total, value) => total + value, 0);
  const mean = (values) => sum(values) / values.length;

  function floats(base64) {
    const bytes = Uint8Array.from(atob(base64), (letter) => letter.charCodeAt(0));
    return new Float32Array(bytes.buffer);
  }

  // ---- The network: rows of width W for each unit.

  function linear(rows, weight, bias) {
    return rows.map((row) => {
      const out = new Float64Array(bias.length);
      for (let o = 0; o < out.length; o++) {
        let total = bias[o];
        for (let i = 0, at = o * row.length; i < row.length; i++) total += weight[at + i] * row[i];
        out[o] = total;
      }
      return out;
    });
  }

  function normalised(rows, weight, bias) {
    return rows.map((row) => {
      const middle = mean(row);
      const deviation = Math.sqrt(row.reduce((total, value) => total + (value - middle) ** 2, 0) / row.length + 1e-5);
      return row.map((value, i) => ((value - middle) / deviation) * weight[i] + bias[i]);
    });
  }

  const added = (rows, others) => rows.map((row, u) => row.map((value, i) => value + others[u][i]));

  function attended(rows, tensor, heads) {
    const width = rows[0].length, each = width / heads;
    const mixed = linear(rows, tensor("self_attn.in_proj_weight"), tensor("self_attn.in_proj_bias"));
    const out = rows.map(() => new Float64Array(width));
    for (let head = 0; head < heads; head++) {
      const first = head * each;
      mixed.forEach((query, u) => {
        const scores = mixed.map((key) => {
          let total = 0;
          for (let i = 0; i < each; i++) total += query[first + i] * key[width + first + i];
          return total / Math.sqrt(each);
        });
        const top = Math.max(...scores), powers = scores.map((score) => Math.exp(score - top)), whole = sum(powers);
        mixed.forEach((value, v) => {
          for (let i = 0; i < each; i++) out[u][first + i] += (powers[v] / whole) * value[2 * width + first + i];
        });
      });
    }
    return linear(out, tensor("self_attn.out_proj.weight"), tensor("self_attn.out_proj.bias"));
  }

  function network(answer, context) {
    const tensor = (name) => answer.tensors[name];
    const units = answer.state.map((row) => Float64Array.from([...row, ...context]));
    let rows = linear(units, tensor("embed.weight"), tensor("embed.bias"));
    for (let layer = 0; layer < answer.layers; layer++) {
      const own = (name) => tensor(`trunk.layers.${layer}.${name}`);
      rows = added(rows, attended(normalised(rows, own("norm1.weight"), own("norm1.bias")), own, answer.heads));
      const inner = linear(normalised(rows, own("norm2.weight"), own("norm2.bias")), own("linear1.weight"), own("linear1.bias"));
      rows = added(rows, linear(inner.map((row) => row.map((value) => Math.max(value, 0))), own("linear2.weight"), own("linear2.bias")));
    }
    rows = normalised(rows, tensor("norm.weight"), tensor("norm.bias"));
    const pooled = Float64Array.from([...rows[0].map((_, i) => mean(rows.map((row) => row[i]))), ...context]);
    const budget = linear([pooled], tensor("budget_head.weight"), tensor("budget_head.bias"))[0][0];
    const allocation = linear(rows, tensor("allocation_head.weight"), tensor("allocation_head.bias")).map((row) => row[0]);
    const centre = mean(allocation);
    return [budget, ...allocation.map((value) => value - centre)];
  }

  // ---- The surrogate: damage of a plan, and the plan of least damage for a preference.

  function damage(surrogate, ratios) {
    return [0, 1].map((k) => sum(ratios.map((r, u) =>
      r * surrogate.linear[k][u] + r ** 2 * surrogate.quadratic[k][u] + r ** 3 * surrogate.cubic[k][u])));
  }

  function cheapest(blend, target, space) {
    const typical = mean(space.weights), w = space.weights.map((weight) => weight / typical);
    const slope = mean(blend.linear.map((a, u) => a + 2 * blend.quadratic[u] + 3 * blend.cubic[u]));
    const quadratic = blend.quadratic.map((b) => b + 1e-3 * slope + 1e-12), cubic = blend.cubic.map((c) => 3 * c);
    let low = 0, ratios = [];
    let high = Math.max(...w.map((weight, u) =>
      (blend.linear[u] + 2 * quadratic[u] * space.r_max + cubic[u] * space.r_max ** 2) / weight));
    for (let step = 0; step < 45; step++) {
      const price = (low + high) / 2;
      ratios = w.map((weight, u) => {
        const gain = Math.max(price * weight - blend.linear[u], 0);
        return Math.min(gain / (quadratic[u] + Math.sqrt(quadratic[u] ** 2 + cubic[u] * gain)), space.r_max);
      });
      if (mean(ratios.map((r, u) => r * w[u])) > target) high = price; else low = price;
    }
    return ratios;
  }

  function best(surrogate, scale, preference, budget, space) {
    const share = (value, k) => (scale[k] > 0 ? value / scale[k] : 0);
    const quality = [0, 1].map((k) => share(preference[k], k) + 1e-3 * share(1, k));
    const blended = (table) => table[0].map((_, u) => quality[0] * table[0][u] + quality[1] * table[1][u]);
    const blend = { linear: blended(surrogate.linear), quadratic: blended(surrogate.quadratic), cubic: blended(surrogate.cubic) };
    let found = null;
    for (let step = 0; step < 33; step++) {
      const target = budget[0] + (step / 32) * (budget[1] - budget[0]);
      const ratios = cheapest(blend, target, space);
      const cost = sum(ratios.map((r, u) => blend.linear[u] * r + blend.quadratic[u] * r ** 2 + blend.cubic[u] * r ** 3));
      const saved = (target - space.s_min) / Math.max(space.s_max - space.s_min, 1e-12);
      const value = share(preference[2], 2) * Math.min(Math.max(saved, 0), 1) - cost;
      if (found === null || value > found.value) found = { value, ratios, target };
    }
    return found;
  }

  function cloned(clone, preference, budget, space) {
    const { ratios, target } = best(clone, clone.scale, preference, budget, space);
    const width = budget[1] - budget[0], edge = 1e-3;
    const u = Math.min(Math.max(width > 0 ? (target - budget[0]) / width : 0.5, edge), 1 - edge);
    const floor = 0.01 * mean(ratios);
    const logs = ratios.map((ratio) => Math.log(Math.max(ratio, floor) + 1e-12) / space.kappa), centre = mean(logs);
    return [Math.log(u / (1 - u)), ...logs.map((value) => value - centre)];
  }

  // ---- Eq. 8: actions to ratios, ratios to whole neurons.

  function logSum(a, b) {
    const top = Math.max(a, b);
    return top === -Infinity ? top : top + Math.log1p(Math.exp(-Math.abs(a - b)));
  }

  function waterfilled(logs, sparsity, space) {
    if (sparsity <= 0) return logs.map(() => 0);
    const order = logs.map((_, u) => u).sort((a, b) => logs[b] - logs[a] || a - b);
    const a = order.map((u) => space.kappa * logs[u]), w = order.map((u) => space.weights[u]);
    const rest = new Array(a.length);
    for (let i = a.length - 1, last = -Infinity; i >= 0; i--) rest[i] = last = logSum(last, a[i] + Math.log(w[i]));
    const total = sum(space.weights), ratios = new Array(a.length);
    let saturated = 0, first = 0, tau = 0;
    for (; first < a.length; first++) {
      tau = Math.log(Math.max(sparsity * total - space.r_max * saturated, TINY)) - rest[first];
      if (tau + a[first] <= Math.log(space.r_max) || first === a.length - 1) break;
      saturated += w[first];
    }
    order.forEach((u, i) => {
      ratios[u] = i < first ? space.r_max : Math.min(Math.exp(Math.min(tau + a[i], Math.log(space.r_max))), space.r_max);
    });
    return ratios;
  }

  function whole(ratios, space) {
    const fewest = space.widths.map((width) => width - Math.floor(space.r_max * width + ROUNDING));
    const wanted = ratios.map((ratio, u) => (1 - ratio) * space.widths[u]);
    const kept = wanted.map((value, u) => Math.min(Math.max(Math.floor(value + ROUNDING), fewest[u]), space.widths[u]));
    const budget = sum(wanted.map((value, u) => value * space.costs[u]));
    for (;;) {
      const deficit = budget - sum(kept.map((count, u) => count * space.costs[u]));
      const step = deficit > 0 ? 1 : -1;
      let chosen = -1, most = -Infinity;
      kept.forEach((count, u) => {
        const room = step > 0 ? count < space.widths[u] : count > fewest[u];
        const useful = room && space.costs[u] < 2 * Math.abs(deficit) - ROUNDING;
        if (useful && step * (wanted[u] - count) > most) [chosen, most] = [u, step * (wanted[u] - count)];
      });
      if (chosen < 0) return kept;
      kept[chosen] += step;
    }
  }

  // ---- What a page asks.

  function prepared(data) {
    const { answer } = data;
    if (answer.kind !== "policy") return data;
    const flat = floats(answer.state), features = flat.length / data.space.widths.length;
    const tensors = Object.fromEntries(Object.entries(answer.tensors).map(([name, text]) => [name, floats(text)]));
    const state = data.space.widths.map((_, u) => flat.slice(u * features, (u + 1) * features));
    return { ...data, answer: { ...answer, tensors, state } };
  }

  // Weights are whole percents; `sparsity` is null or a share. Returns {ratios before rounding, kept neurons}.
  function plan(data, weights, sparsity = null) {
    const { answer, space } = data, total = sum(weights), preference = weights.map((weight) => weight / total);
    const budget = sparsity === null ? [space.s_min, space.s_max] : [sparsity, sparsity];
    if (answer.kind === "grid") {
      const steps = preference.map((weight) => Math.round(weight * answer.steps));
      const kept = answer.plans[`${steps[0]},${steps[1]}`];
      return { ratios: kept.map((count, u) => 1 - count / space.widths[u]), kept };
    }
    if (answer.kind === "surrogate") {
      const { ratios } = best(answer.surrogate, answer.surrogate.scale, preference, budget, space);
      return { ratios, kept: whole(ratios, space) };
    }
    const seen = budget.map((share) => Math.min(Math.max(share, space.s_min), space.s_max));
    let z = network(answer, [...seen, ...preference]);
    if (answer.clone) {
      const base = cloned(answer.clone, preference, budget, space);
      z = z.map((value, i) => value + base[i]);
    }
    const share = budget[0] + (budget[1] - budget[0]) / (1 + Math.exp(-z[0]));
    const ratios = waterfilled(z.slice(1), share, space);
    return { ratios, kept: whole(ratios, space) };
  }

  // Accuracy of each benchmark as [mean, margin of a 90% interval]; see search/query/forecast.py.
  function forecast(data, ratios) {
    if (!data.forecast) return [];
    const { fits, columns, student } = data.forecast;
    const curves = fits.map((fit) => {
      const loss = damage(fit, ratios);
      return fit.curves.map((curve, b) => curve.level + curve.fall * Math.expm1(-((loss[columns[b]] / curve.scale) ** curve.power)));
    });
    const [all, ...without] = curves, groups = without.length;
    return all.map((accuracy, b) => {
      const middle = mean(without.map((each) => each[b]));
      const variance = ((groups - 1) / groups) * sum(without.map((each) => (each[b] - middle) ** 2));
      return [Math.min(Math.max(accuracy, 0), 1), student * Math.sqrt(variance)];
    });
  }

  // Share of a cost table's dense cost that ratios save; see plans/costs.py.
  function saved(table, ratios) {
    const last = table.units[0].length - 1;
    const dense = table.constant + sum(table.units.map((unit) => unit[last]));
    const removed = table.units.map((unit, u) => {
      const place = Math.min(Math.max((1 - ratios[u]) * last, 0), last), below = Math.min(Math.floor(place), last - 1);
      return unit[last] - unit[below] - (place - below) * (unit[below + 1] - unit[below]);
    });
    return sum(removed) / dense;
  }

  return { prepared, plan, damage, forecast, saved };
})();
