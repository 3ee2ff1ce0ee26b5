"use strict";
(function () {
  // Sequential scales, [light, dark]: zero is near the page's own colour; a cloud's marks must stand out from it.
  const SCALES = {
    blocks: [["#f0f4f8", "#9dc3e0", "#3d7fb8", "#123a63"], ["#1d242c", "#24496d", "#3f86c2", "#c6e4fb"]],
    cloud: [["#9fcfe8", "#3d7fb8", "#0d2c50"], ["#24527c", "#4f9ad6", "#dceffd"]],
  };
  const PRINTED_WIDTH = 680;
  const CELL_WITH_NUMBER = 24;
  const dark = matchMedia("(prefers-color-scheme: dark)");
  const narrow = matchMedia("(max-width: 600px)");
  const charts = [...document.querySelectorAll("script[data-chart]")].map((script) => ({
    place: document.getElementById(script.dataset.chart),
    text: script.textContent,
  }));
  let printing = false;

  function spread(colors) {
    return colors.map((color, index) => [index / (colors.length - 1), color]);
  }

  function themed(spec, name) {
    const style = getComputedStyle(document.documentElement);
    const color = (variable) => style.getPropertyValue(variable).trim();
    const isDark = dark.matches && !printing;
    const layout = spec.layout;
    layout.paper_bgcolor = layout.plot_bgcolor = "rgba(0,0,0,0)";
    layout.font = { family: getComputedStyle(document.body).fontFamily, size: 13, color: color("--ink") };
    layout.hoverlabel = { bgcolor: color("--panel"), bordercolor: color("--line"), font: { color: color("--ink") } };
    for (const axis of Object.keys(layout).filter((key) => /^[xy]axis/.test(key))) {
      Object.assign(layout[axis], { gridcolor: color("--line"), linecolor: color("--line"), tickcolor: color("--line") });
    }
    if (layout.coloraxis) layout.coloraxis.colorscale = spread(SCALES[name][isDark ? 1 : 0]);
    for (const trace of spec.data) {
      if (trace.marker && trace.marker.line) trace.marker.line.color = color("--ink");
    }
    layout.autosize = true;
    if (printing) layout.width = PRINTED_WIDTH;
    return spec;
  }

  function fitted(spec, name) {
    const { data, layout } = spec;
    if (!narrow.matches || printing) return spec;
    layout.font.size = 11;
    for (const trace of data) {
      if (trace.type === "heatmap" && innerWidth / trace.x.length < 1.6 * CELL_WITH_NUMBER) trace.texttemplate = "";
    }
    if (name === "blocks" && layout.coloraxis) layout.coloraxis.showscale = false;
    if (name === "cloud") {
      Object.assign(layout.coloraxis.colorbar, { orientation: "h", y: -0.16, yanchor: "top" });
      layout.coloraxis.colorbar.title.side = "bottom";
    }
    return spec;
  }

  function draw() {
    for (const { place, text } of charts) {
      const { data, layout } = fitted(themed(JSON.parse(text), place.id), place.id);
      Plotly.react(place, data, layout, { responsive: true, displaylogo: false, displayModeBar: false });
    }
  }

  function print(now) {
    printing = now;
    document.querySelectorAll("details").forEach((each) => { each.open = now; });
    draw();
  }

  draw();
  dark.addEventListener("change", draw);
  narrow.addEventListener("change", draw);
  addEventListener("beforeprint", () => print(true));
  addEventListener("afterprint", () => print(false));
})();
