// The compare basket. Any element with data-entry="SECTION/ENTRY" gets a box to pick it; a tray keeps what is picked,
// and compare.html#section=SECTION&entries=A,B sets it side by side. The address alone holds a comparison; the session's
// storage, where there is one, only carries the basket from page to page.
"use strict";
(() => {
  const MOST = 4, LETTERS = "ABCD", KEY = "paretune-basket";
  const HOME = new URL("..", document.currentScript.src).href;
  const SVG = "http://www.w3.org/2000/svg";

  // ---- what is picked -------------------------------------------------------------------------------------------
  function load() {
    try {
      const kept = JSON.parse(sessionStorage.getItem(KEY));
      if (kept && typeof kept.section === "string" && Array.isArray(kept.entries)) {
        const entries = kept.entries.filter((one) => one && typeof one.id === "string").slice(0, MOST);
        return { section: kept.section, entries: entries.map(({ id, name }) => ({ id, name: String(name) })) };
      }
    } catch { /* no storage here, or not ours: the basket lives as long as the page */ }
    return { section: "", entries: [] };
  }

  function keep(basket) {
    try {
      sessionStorage.setItem(KEY, JSON.stringify(basket));
    } catch { /* see load */ }
  }

  const address = ({ section, entries }) =>
    `#section=${encodeURIComponent(section)}&entries=${entries.map(({ id }) => encodeURIComponent(id)).join(",")}`;

  // ---- small pieces of pages ------------------------------------------------------------------------------------
  function make(tag, attributes = {}, ...children) {
    const element = document.createElement(tag);
    for (const [name, value] of Object.entries(attributes)) element.setAttribute(name, value);
    element.append(...children.filter((child) => child !== null && child !== undefined));
    return element;
  }

  function draw(tag, attributes) {
    const element = document.createElementNS(SVG, tag);
    for (const [name, value] of Object.entries(attributes)) element.setAttribute(name, value);
    return element;
  }

  const count = (number) => number.toLocaleString("en-US");
  const letter = (index) => make("span", { class: `letter letter-${LETTERS[index]}` }, LETTERS[index]);

  function figure(value, decimals) {
    const text = value.toFixed(decimals);
    return Number(text) === 0 ? text.replace("-", "") : text.replace("-", "\u2212");
  }

  const range = (low, high, decimals) => `[${figure(low, decimals)},\u00a0${figure(high, decimals)}]`;

  // ---- files ----------------------------------------------------------------------------------------------------
  const FIELDS = ["table", "task", "metric", "higher_is_better", "first", "second", "difference", "low", "high", "interval",
    "p_value", "seeds", "items", "won", "lost", "note"];
  const blank = () => Object.fromEntries(FIELDS.map((name) => [name, null]));
  const unscaled = (value, scale) => (value === null ? null : Number((value / scale).toPrecision(12)));

  // A text that would begin a formula in a spreadsheet gets an apostrophe, as in the other files of the board.
  function field(value) {
    if (value === null || value === undefined) return "";
    if (typeof value !== "string") return String(typeof value === "boolean" ? Number(value) : value);
    const bare = value.replace(/^[ ']+/, "");
    const text = /^[=+\-@\t\r\n\uff1d\uff0b\uff0d\uff20]/.test(bare) ? `'${value}` : value;
    return /[",\r\n]/.test(text) ? `"${text.replaceAll('"', '""')}"` : text;
  }

  // ---- picking, on any page -------------------------------------------------------------------------------------
  class Tray {
    constructor(marked) {
      this.basket = load();
      this.boxes = new Map();
      for (const element of marked) this.decorate(element);
      const table = marked[0].closest(".scroll") || marked[0].closest("table");
      table?.before(make("p", { class: "pick-hint" }, "Tick two to four entries to compare them pair by pair."));
      this.line = make("ul", { "aria-label": "Picked entries" });
      this.go = make("a", { class: "go" });
      const clear = make("button", { type: "button" }, "Clear");
      clear.addEventListener("click", () => this.set({ section: "", entries: [] }, "Nothing is picked."));
      this.status = make("p", { class: "unseen", role: "status" });
      this.element = make("aside", { class: "tray", "aria-label": "Entries to compare", hidden: "" },
        make("div", {}, this.line, this.go, clear));
      document.body.append(this.element, this.status);
      addEventListener("pageshow", () => { this.basket = load(); this.show(); });
      this.show();
    }

    decorate(element) {
      const path = element.dataset.entry, cut = path.indexOf("/");
      const [section, id] = [path.slice(0, cut), path.slice(cut + 1)];
      const name = element.dataset.name || element.textContent.replace(/\s+/g, " ").trim();
      const box = make("input", { type: "checkbox", class: "pick", title: "Pick to compare", "aria-label": `Compare ${name}` });
      box.addEventListener("change", () => this.pick(section, { id, name }, box));
      element.prepend(box);
      this.boxes.set(path, box);
    }

    pick(section, entry, box) {
      const same = this.basket.section === section;
      const others = same ? this.basket.entries.filter(({ id }) => id !== entry.id) : [];
      if (box.checked && others.length === MOST) {
        box.checked = false;
        this.status.textContent = `At most ${MOST} entries are compared; take one out first.`;
        return;
      }
      const entries = box.checked ? [...others, entry] : others;
      const begun = !same && this.basket.entries.length ? " Only entries of one table compare: the others were taken out." : "";
      this.set({ section, entries }, `${entries.length} of at most ${MOST} entries picked.${begun}`);
    }

    set(basket, words) {
      this.basket = basket;
      keep(basket);
      this.status.textContent = words;
      this.show();
    }

    show() {
      const { section, entries } = this.basket;
      const picked = new Set(entries.map(({ id }) => `${section}/${id}`));
      for (const [path, box] of this.boxes) box.checked = picked.has(path);
      this.line.replaceChildren(...entries.map((entry) => this.item(entry)));
      this.go.textContent = entries.length < 2 ? "Pick one more" : `Compare ${entries.length} entries`;
      if (entries.length < 2) this.go.removeAttribute("href");
      else this.go.href = `${HOME}compare.html${address(this.basket)}`;
      this.element.hidden = entries.length === 0;
      document.body.classList.toggle("has-tray", entries.length > 0);
    }

    item(entry) {
      const out = make("button", { type: "button", "aria-label": `Take out ${entry.name}` }, "\u00d7");
      out.addEventListener("click", () => {
        const entries = this.basket.entries.filter(({ id }) => id !== entry.id);
        this.set({ section: this.basket.section, entries }, `${entry.name} was taken out.`);
      });
      return make("li", {}, `${entry.name} `, out);
    }
  }

  // ---- the page that compares -----------------------------------------------------------------------------------
  const waiting = new Map();

  function fetched(section) {
    const known = () => (self.paretunePairs || []).find(({ id }) => id === section.id);
    if (!waiting.has(section.id)) {
      waiting.set(section.id, new Promise((resolve, reject) => {
        // Pages opened from disk may not fetch; a script of data they may load.
        const script = make("script", { src: HOME + section.data });
        script.addEventListener("load", () => (known() ? resolve(known()) : reject(new Error("holds other data"))));
        script.addEventListener("error", () => reject(new Error("cannot be loaded")));
        document.head.append(script);
      }));
    }
    return waiting.get(section.id);
  }

  class Comparison {
    constructor(home, sections) {
      this.sections = sections;
      this.result = make("div", { role: "region", "aria-label": "Comparison", "aria-live": "polite" });
      this.form = make("form", {});
      this.form.addEventListener("submit", (event) => event.preventDefault());
      home.append(this.form, this.result);
      home.hidden = false;
      addEventListener("hashchange", () => this.read());
      this.read();
    }

    read() {
      const asked = new URLSearchParams(location.hash.slice(1)), kept = load();
      const [name, entries] = asked.has("section")
        ? [asked.get("section"), (asked.get("entries") || "").split(",").filter(Boolean)]
        : [kept.section, kept.entries.map(({ id }) => id)];
      this.open(this.sections.find(({ id }) => id === name), entries, name);
    }

    async open(section, entries, asked = "") {
      const picker = this.picker(section);
      this.form.replaceChildren(picker);
      if (!section) {
        const lost = asked ? "The table that this address names is not on this board. " : "";
        this.result.replaceChildren(make("p", {}, `${lost}Choose a table, then two to four of its entries.`));
        return;
      }
      try {
        this.data = await fetched(section);
      } catch (error) {
        this.result.replaceChildren(make("p", { class: "warning" }, `The file ${section.data} ${error.message}.`));
        return;
      }
      const places = entries.map((id) => this.data.entries.findIndex((one) => one.id === id));
      this.lost = entries.filter((_, index) => places[index] < 0);
      this.places = [...new Set(places.filter((place) => place >= 0))].slice(0, MOST);
      this.choose(section, picker);
      this.render(section);
    }

    picker(section) {
      const select = make("select", { name: "section" }, new Option("Choose a table", ""));
      for (const { id, name } of this.sections) select.add(new Option(name, id, false, id === section?.id));
      select.addEventListener("change", () => {
        const chosen = this.sections.find(({ id }) => id === select.value);
        this.remember(chosen, []);
        this.open(chosen, []).then(() => this.form.elements.section.focus());
      });
      return make("label", { class: "whole" }, "Table", select);
    }

    choose(section, picker) {
      const number = Math.max(2, Math.min(MOST, this.places.length + 1));
      const labels = [...LETTERS.slice(0, number)].map((name, index) => {
        const select = make("select", { name: `entry-${name}` }, new Option("—", ""));
        this.data.entries.forEach((entry, place) => {
          const option = new Option(`${entry.name} (${entry.size} trained)`, entry.id, false, place === this.places[index]);
          option.disabled = place !== this.places[index] && this.places.includes(place);
          select.add(option);
        });
        select.addEventListener("change", () => this.changed(section, select.name));
        return make("label", {}, make("span", {}, letter(index), " Entry"), select);
      });
      this.form.replaceChildren(picker, ...labels);
    }

    changed(section, focus) {
      const chosen = [...this.form.elements].filter((one) => one.name.startsWith("entry-")).map((one) => one.value);
      const entries = [...new Set(chosen.filter(Boolean))];
      this.remember(section, entries);
      this.open(section, entries).then(() => this.form.elements[focus]?.focus());
    }

    remember(section, ids) {
      const known = this.data?.id === section?.id ? this.data.entries : [];
      const entries = ids.map((id) => ({ id, name: known.find((one) => one.id === id)?.name || id }));
      const basket = { section: section?.id || "", entries };
      keep(basket);
      history.replaceState(null, "", address(basket));
    }

    render() {
      const { data, places, lost } = this;
      const parts = lost.length ? [make("p", { class: "warning" }, `Not in this table: ${lost.join(", ")}.`)] : [];
      if (places.length < 2) {
        this.result.replaceChildren(...parts, make("p", {}, "Choose two to four entries."));
        return;
      }
      parts.push(this.downloads(), this.scores());
      places.forEach((first, a) => places.slice(a + 1).forEach((second, more) => {
        parts.push(this.heading(a, a + 1 + more), this.pair(first, second, a, a + 1 + more));
      }));
      parts.push(make("p", { class: "footnote" },
        "Each interval and p value is of one pair alone, and not corrected for how many pairs were looked at or how they were "
        + `chosen. Letters on the board are corrected for all pairs at a budget.${data.complete ? "" : ` ${data.rule}`}`));
      this.result.replaceChildren(...parts);
    }

    heading(a, b) {
      const name = (index) => this.data.entries[this.places[index]].name;
      return make("h2", { class: "pair" }, letter(a), ` ${name(a)} against `, letter(b), ` ${name(b)}`);
    }

    table(words, heads, rows, label) {
      const line = make("tr", {}, ...heads.map(([text, right, child]) =>
        make("th", { scope: "col", ...(right ? { class: "right" } : {}) }, child ? child : null, text)));
      return make("div", { class: "scroll", role: "region", "aria-label": label, tabindex: "0" },
        make("table", {}, make("caption", {}, make("span", {}, words)), make("thead", {}, line), make("tbody", {}, ...rows)));
    }

    taskCell(task) {
      const name = task.page ? make("a", { href: HOME + task.page }, task.name) : task.name;
      return make("th", { scope: "row" }, name, make("span", { class: "unit" }, task.metric));
    }

    scores() {
      const { data, places } = this;
      const rows = data.tasks.map((task) => make("tr", {}, this.taskCell(task), ...places.map((place) => {
        const mean = task.means[place], note = task.notes[place];
        const shown = !mean ? ["—"] : [make("b", {}, figure(mean[0], task.decimals)), " ",
          make("span", { class: "range" }, mean[1] === null ? "no interval" : range(mean[1], mean[2], task.decimals))];
        return make("td", { class: "right" }, ...shown, note ? make("span", { class: "detail" }, note) : null);
      })));
      const heads = places.map((place, index) => [` ${data.entries[place].name}`, true, letter(index)]);
      return this.table("Means over seeds with their 95 % intervals.", [["Task", false], ...heads], rows, "Scores");
    }

    pair(first, second, a, b) {
      const { data } = this;
      const lines = [...data.tasks, ...data.averages].map((task) => ({ task, line: this.line(task, first, second) }));
      const widest = new Map();
      for (const { task, line } of lines) {
        const ends = line ? line.slice(0, 3).filter((value) => value !== null).map(Math.abs) : [];
        widest.set(task.scale, Math.max(widest.get(task.scale) || 0, ...ends));
      }
      const rows = lines.map(({ task, line }) => make("tr", {}, this.taskCell(task),
        ...(line ? this.cells(task, line, a, b, widest.get(task.scale)) : [this.none(task, first, second)])));
      const ends = `${LETTERS[a]} minus ${LETTERS[b]}`;
      const heads = [["Task", false], [ends, true], ["95 % interval", true],
        [`\u2190 ${LETTERS[b]} higher \u00b7 ${LETTERS[a]} higher \u2192`, false], ["Reads as", false], ["p", true],
        [`Items won by ${LETTERS[a]}`, true], [`by ${LETTERS[b]}`, true], ["Seeds, items", true]];
      return this.table(`${ends}, paired; not corrected.`, heads, rows, `${LETTERS[a]} against ${LETTERS[b]}`);
    }

    line(task, first, second) {
      const found = task.pairs.find(([one, other]) =>
        (one === first && other === second) || (one === second && other === first));
      if (!found) return null;
      const [one, , gap, low, high, p, won, lost, ground] = found;
      const turn = (value) => (value === null ? null : -value);
      return one === first ? [gap, low, high, p, won, lost, ground] : [turn(gap), turn(high), turn(low), p, lost, won, ground];
    }

    cells(task, [gap, low, high, p, won, lost, ground], a, b, widest) {
      const [seeds, items, basis] = task.grounds[ground];
      const right = (...children) => make("td", { class: "right" }, ...children);
      return [
        right(make("b", {}, figure(gap, task.decimals))),
        right(low === null ? make("span", { class: "detail" }, `none: ${basis}`) : range(low, high, task.decimals)),
        make("td", {}, low === null ? "" : this.plot(gap, low, high, widest)),
        this.verdict(task, low, high, basis, a, b),
        right(p === null ? "—" : p < 0.001 ? "< 0.001" : p.toFixed(3)),
        right(won === null ? "—" : count(won)), right(lost === null ? "—" : count(lost)),
        right(`${seeds}, ${count(items)}`),
      ];
    }

    verdict(task, low, high, basis, a, b) {
      const board = this.onBoard(task, a, b);
      const more = [basis === "items only" ? "for these seeds; items only" : "", board && `${board} on the board`];
      const details = more.filter(Boolean).map((words) => make("span", { class: "detail" }, words));
      if (low === null || (low <= 0 && high >= 0)) return make("td", { class: "open" }, "not told apart", ...details);
      return make("td", {}, `${LETTERS[low > 0 ? a : b]} higher, this pair alone`, ...details);
    }

    // Letters join what the board does not tell apart, corrected for all pairs at one budget.
    onBoard(task, a, b) {
      const [one, other] = [a, b].map((index) => task.letters?.[this.places[index]]);
      if (!one || !other || one.budget !== other.budget) return "";
      return one.letters.some((letter) => other.letters.includes(letter)) ? "not told apart" : "told apart";
    }

    plot(gap, low, high, widest) {
      const across = (value) => (80 + (value / (widest || 1)) * 74).toFixed(1);
      const svg = draw("svg", { class: "gap-plot", viewBox: "0 0 160 20", "aria-hidden": "true" });
      svg.append(draw("line", { class: "zero", x1: 80, x2: 80, y1: 0, y2: 20 }),
        draw("line", { class: "span", x1: across(low), x2: across(high), y1: 10, y2: 10 }),
        draw("circle", { class: "dot", cx: across(gap), cy: 10, r: 3.5 }));
      return svg;
    }

    // ---- what is shown, as files: made here, of the very numbers that the tables show, unscaled ---------------------
    downloads() {
      const rows = this.records();
      const csv = [FIELDS, ...rows.map((row) => FIELDS.map((name) => row[name]))].map((row) => `${row.map(field).join(",")}\n`);
      const files = [["CSV", "text/csv", csv.join("")], ["JSON", "application/json", `${JSON.stringify(rows, null, 1)}\n`]];
      for (const url of this.urls || []) URL.revokeObjectURL(url);
      this.urls = files.map(([, type, text]) => URL.createObjectURL(new Blob([text], { type })));
      const links = files.map(([label], index) => make("a", {
        href: this.urls[index], download: `compare-${this.data.id}.${label.toLowerCase()}`,
        "aria-label": `Differences as ${label}`,
      }, label));
      return make("p", { class: "quiet files" }, "Downloads: ", links[0], " \u00b7 ", links[1]);
    }

    records() {
      const { data, places } = this;
      return places.flatMap((first, a) => places.slice(a + 1).flatMap((second) =>
        [...data.tasks, ...data.averages].map((task) => {
          const names = { table: data.name, task: task.name, metric: task.metric, higher_is_better: task.higher };
          const entries = { first: data.entries[first].name, second: data.entries[second].name };
          const line = this.line(task, first, second);
          if (!line) return { ...blank(), ...names, ...entries, note: this.reason(task, first, second) };
          const [gap, low, high, p, won, lost, ground] = line, [seeds, items, basis] = task.grounds[ground];
          const [difference, from, to] = [gap, low, high].map((value) => unscaled(value, task.scale));
          return { ...blank(), ...names, ...entries, difference, low: from, high: to, interval: basis, p_value: p, seeds, items, won, lost };
        })));
    }

    none(task, first, second) {
      return make("td", { colspan: "8", class: "open" }, `No pair: ${this.reason(task, first, second)}.`);
    }

    reason(task, first, second) {
      const why = [first, second].map((place) => task.notes && !task.pairs.some((pair) => pair.slice(0, 2).includes(place))
        && task.notes[place] ? `${this.data.entries[place].name}: ${task.notes[place]}` : "").filter(Boolean);
      const rule = this.data.complete ? "they share no seed or item" : "not among the pairs that are computed";
      return task.notes ? why.join("; ") || rule : "a task of it has no such pair";
    }
  }

  function start() {
    const marked = document.querySelectorAll("[data-entry]");
    const home = document.getElementById("basket");
    if (home) new Comparison(home, JSON.parse(home.dataset.sections));
    else if (marked.length) new Tray(marked);
  }

  start();
})();
