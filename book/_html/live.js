// Maps that answer to the pointer. Plotly's script is large: it is fetched when the first map comes into view.
(() => {
  const source = new URL("plotly.min.js", document.currentScript.src);
  let fetched;
  const plotly = () =>
    (fetched ??= new Promise((resolve, reject) => {
      const script = document.createElement("script");
      script.src = source;
      script.onload = () => resolve(window.Plotly);
      script.onerror = reject;
      document.head.append(script);
    }));

  const element = (tag, properties, ...children) => {
    const made = Object.assign(document.createElement(tag), properties);
    made.append(...children);
    return made;
  };

  // The colours of the page, which a reader may switch between light and dark.
  const colours = (map) => {
    const { color } = getComputedStyle(map);
    const background = getComputedStyle(document.body).backgroundColor;
    return {
      paper_bgcolor: "rgba(0,0,0,0)",
      plot_bgcolor: "rgba(0,0,0,0)",
      font: { color },
      hoverlabel: { bgcolor: background, font: { color } },
    };
  };

  // A menu and boxes to tick take the place of plotly's own menu and legend, which no keyboard reaches.
  const controls = (Plotly, plot, views, menu, legend) => {
    const show = async () => {
      const [traces, layout] = views[menu.value].args;
      await Plotly.update(plot, traces, layout);
      const marks = [...plot.querySelectorAll(".scatterlayer .trace")];
      const shown = traces.visible.flatMap((visible, index) => (visible ? [index] : []));
      const boxes = shown.map((index, place) => {
        const box = element("input", { type: "checkbox", checked: true });
        box.onchange = () => Plotly.restyle(plot, { visible: box.checked }, [index]);
        const mark = marks[place].querySelector(".point").cloneNode();
        mark.removeAttribute("transform");
        const icon = document.createElementNS("http://www.w3.org/2000/svg", "svg");
        icon.setAttribute("viewBox", "-8 -8 16 16");
        icon.append(mark);
        const { name, x } = plot.data[index];
        const label = element("span", { innerHTML: `${name} (${x.length})` }); // names come escaped, as plotly wants them
        return [box, element("label", {}, box, icon, label)];
      });
      const all = element("button", { type: "button", textContent: "all or none" });
      all.onclick = () => {
        const checked = !boxes.every(([box]) => box.checked);
        boxes.forEach(([box]) => (box.checked = checked));
        Plotly.restyle(plot, { visible: checked }, shown);
      };
      legend.replaceChildren(
        element("legend", { textContent: layout["legend.title.text"] }),
        ...boxes.map(([, label]) => label),
        all,
      );
    };
    menu.onchange = show;
    return show();
  };

  const draw = async (map) => {
    const { data, layout } = JSON.parse(map.querySelector("script").textContent);
    const Plotly = await plotly();
    const views = layout.updatemenus[0].buttons;
    const plot = element("div", { className: "live-plot" });
    const menu = element("select", {}, ...views.map(({ label }, value) => element("option", { value, innerHTML: label })));
    const legend = element("fieldset", { className: "live-controls" });
    map.append(element("label", { className: "live-controls" }, "Show ", menu), plot, legend);
    const touch = matchMedia("(pointer: coarse)").matches;
    await Plotly.newPlot(
      plot,
      data,
      // On a phone a finger on the map scrolls the page.
      { ...layout, ...colours(map), updatemenus: [], showlegend: false, margin: { l: 1, r: 1, t: 1, b: 1 }, dragmode: touch ? false : "zoom" },
      { displayModeBar: false, responsive: true, typesetMath: false, doubleClick: "autosize" },
    );
    await controls(Plotly, plot, views, menu, legend);
    new MutationObserver(() => Plotly.relayout(plot, colours(map))).observe(document.documentElement, {
      attributeFilter: ["data-theme"],
    });
  };

  document.addEventListener("DOMContentLoaded", () => {
    const watch = new IntersectionObserver(
      (entries) =>
        entries
          .filter((entry) => entry.isIntersecting)
          .forEach(({ target }) => {
            watch.unobserve(target);
            draw(target).catch(() => target.append("The map could not be drawn; the figure above shows the same points."));
          }),
      { rootMargin: "300px" },
    );
    document.querySelectorAll(".live-map").forEach((map) => watch.observe(map));
  });
})();
