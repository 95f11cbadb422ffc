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

  // Views named "a, b" for every a and every b get a menu for each part, others one menu.
  const menusOf = (labels) => {
    const parts = labels.map((label) => label.split(", "));
    const columns = parts[0].map((_, at) => [...new Set(parts.map((part) => part[at]))]);
    const all = columns.reduce((count, column) => count * column.length, 1);
    return parts.every(({ length }) => length === columns.length) && all === labels.length ? columns : [labels];
  };

  // Menus and boxes to tick take the place of plotly's own menu and legend, which no keyboard reaches.
  const draw = async (map) => {
    const { data, layout, told } = JSON.parse(map.querySelector("script").textContent);
    const Plotly = await plotly();
    const views = Object.fromEntries(layout.updatemenus[0].buttons.map(({ label, args }) => [label, args]));
    const columns = menusOf(Object.keys(views));
    const menus = columns.map((column) => {
      const options = column.map((part) => element("option", { value: part, innerHTML: part }));
      return element("select", { ariaLabel: `show ${column[0]} or another`, onchange: () => show() }, ...options);
    });
    const plot = element("div", { className: "live-plot" });
    const legend = element("fieldset", { className: "live-controls" });
    map.append(element("div", { className: "live-controls" }, "Show ", ...menus), plot, legend);
    const touch = matchMedia("(pointer: coarse)").matches;
    const still = matchMedia("(prefers-reduced-motion: reduce)").matches;
    const base = {
      ...layout,
      updatemenus: [],
      showlegend: false,
      margin: { l: 1, r: 1, t: 1, b: 1 },
      dragmode: touch ? false : "zoom", // on a phone a finger on the map scrolls the page
    };
    let shown = [];

    const show = async () => {
      const [{ visible }, frame] = views[menus.map((menu) => menu.value).join(", ")];
      const traces = data
        .filter((_, index) => visible[index])
        .map((trace) => ({ ...trace, visible: true, text: trace.text.map((row) => told[row]) }));
      const same = traces.map(({ name }) => name).join() === shown.map(({ name }) => name).join();
      shown = traces;
      const [xaxis, yaxis] = ["xaxis", "yaxis"].map((axis) => ({ ...layout[axis], range: frame[`${axis}.range`] }));
      const transition = { duration: same && !still ? 600 : 0, easing: "cubic-in-out" };
      await Plotly.react(
        plot,
        traces,
        { ...base, ...colours(map), xaxis, yaxis, ...(transition.duration ? { transition } : {}) },
        { displayModeBar: false, responsive: true, typesetMath: false, doubleClick: "autosize" },
      );
      const marks = [...plot.querySelectorAll(".scatterlayer .trace")];
      const boxes = traces.map(({ name, x }, index) => {
        const box = element("input", { type: "checkbox", checked: true });
        box.onchange = () => Plotly.restyle(plot, { visible: box.checked }, [index]);
        const mark = marks[index].querySelector(".point").cloneNode();
        mark.removeAttribute("transform");
        const icon = document.createElementNS("http://www.w3.org/2000/svg", "svg");
        icon.setAttribute("viewBox", "-8 -8 16 16");
        icon.append(mark);
        const label = element("span", { innerHTML: `${name} (${x.length})` }); // names come escaped, as plotly wants them
        return [box, element("label", {}, box, icon, label)];
      });
      const all = element("button", { type: "button", textContent: "all or none" });
      all.onclick = () => {
        const checked = !boxes.every(([box]) => box.checked);
        boxes.forEach(([box]) => (box.checked = checked));
        Plotly.restyle(plot, { visible: checked });
      };
      legend.replaceChildren(
        element("legend", { textContent: frame["legend.title.text"] }),
        ...boxes.map(([, label]) => label),
        all,
      );
    };

    await show();
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
