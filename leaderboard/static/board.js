// Tables that sort, filter and hide columns. Every page is whole without this file.
//
// A table of class "sortable": each header cell of its last header row that holds a <button> sorts by its column. A
// cell's value is its data-value, else the number its text begins with, else its text. Rows stay in their <tbody>, and
// a row of class "slice" stays first in it.
//
// A <form class="tools" data-for="TABLE-ID" hidden> near it may hold
//   <input type="search" name="q">                  rows with all of the words in name, targets, marks
//   <select name="N" data-column="KEY">             rows with the same text in a column (options are found)
//   <select name="N" data-block>                    the <tbody> whose data-key is the option's value
//   <input type="checkbox" data-shows="KEY">        whether a column is seen; unchecked in the page: hidden at first
//   <input type="checkbox" name="N" data-sets="C">  whether the table has class C; data-unsets: has it not
//   <button data-copy>, <button type="reset">       copy a link to this view; back to the first view
//   <output>                                        says how many rows are seen
// KEY is the data-key of a header cell. What the form says and the order of rows stand in the address after "#".
"use strict";
(() => {
  // Rows of a crowded table that are drawn at first, and with every further step of scrolling: to draw 500 rows of 40
  // cells anew takes a second, to order them a tenth of it.
  const STEP = 40;
  const MISSING = /^[\s—–]*$/;

  const textOf = (cell) => (cell ? cell.textContent.replace(/\s+/g, " ").trim() : "");

  function valueOf(cell) {
    if (!cell) return null;
    const raw = cell.dataset.value ?? textOf(cell).replace(/\u2212/g, "-");
    if (MISSING.test(raw)) return null;
    const number = Number.parseFloat(raw.replace(/(\d),(?=\d{3})/g, "$1"));
    return Number.isNaN(number) ? raw.toLowerCase() : number;
  }

  function compare(a, b) {
    if (typeof a === typeof b) return typeof a === "number" ? a - b : a.localeCompare(b);
    return typeof a === "number" ? -1 : 1;
  }

  class Board {
    constructor(table) {
      this.table = table;
      this.heads = [...table.tHead.rows[table.tHead.rows.length - 1].cells];
      this.keys = this.heads.map((head, index) => head.dataset.key || String(index));
      this.groups = [...table.tBodies].map((body) => ({
        body, rows: [...body.rows].filter((row) => !row.classList.contains("slice")),
      }));
      this.rows = this.groups.flatMap((group) => group.rows);
      this.columns = new Map();
      this.order = null;
      this.form = table.id ? document.querySelector(`form.tools[data-for="${CSS.escape(table.id)}"]`) : null;
      this.status = this.form?.querySelector("output") || this.announcer();
      this.limit = Infinity;
      if (table.classList.contains("crowded")) {
        this.linkRows();
        this.drawInSteps();
      }
      this.heads.forEach((head, index) => {
        head.querySelector("button")?.addEventListener("click", () => this.click(index));
      });
    }

    // Thousands of links would be half of the page: those of a row are made when a pointer or the focus comes to it.
    linkRows() {
      const pages = this.heads.map((head) => head.querySelector("a")?.getAttribute("href"));
      const link = (event) => {
        const row = event.target.closest?.("tbody tr[id]");
        if (!row || row.linked) return;
        row.linked = true;
        pages.forEach((page, index) => {
          const number = page && row.cells[index].querySelector("a");
          if (number) number.href = `${page}#${row.id}`;
        });
      };
      this.table.addEventListener("pointerover", link);
      this.table.addEventListener("focusin", link);
    }

    drawInSteps() {
      const frame = this.table.closest(".scroll");
      const end = document.createElement("div");
      end.className = "end";
      frame.append(end);
      const more = (limit) => { this.limit = limit; this.draw(); };
      new IntersectionObserver((entries) => {
        if (entries.some((entry) => entry.isIntersecting)) more(this.limit + STEP);
      }, { root: frame, rootMargin: "400px" }).observe(end);
      addEventListener("beforeprint", () => more(Infinity));
      more(location.hash && !location.hash.includes("=") ? Infinity : STEP);
      this.table.classList.add("ready");
    }

    // What lies beyond the limit waits; it is found by filters and moved by sorting all the same.
    draw() {
      if (!this.table.classList.contains("crowded")) return;
      let left = this.limit;
      for (const body of this.table.tBodies) {
        body.classList.toggle("later", left <= 0);
        for (const row of body.rows) {
          if (!row.hidden && !row.classList.contains("slice")) row.classList.toggle("later", left-- <= 0);
        }
      }
    }

    announcer() {
      const line = document.createElement("p");
      line.className = "unseen";
      line.setAttribute("role", "status");
      (this.table.closest(".scroll") || this.table).after(line);
      return line;
    }

    values(index) {
      if (!this.columns.has(index)) {
        // Words in a column of numbers, such as a status, are no values: they come last.
        const numbers = this.heads[index].classList.contains("right");
        const value = (row) => {
          const found = valueOf(row.cells[index]);
          return numbers && typeof found !== "number" ? null : found;
        };
        this.columns.set(index, new Map(this.rows.map((row) => [row, value(row)])));
      }
      return this.columns.get(index);
    }

    click(index) {
      const head = this.heads[index];
      const first = head.dataset.first || (head.classList.contains("right") ? "down" : "up");
      const now = this.order?.index === index ? this.order.way : null;
      this.sort(index, now === null ? first : now === "down" ? "up" : "down");
      this.say();
      this.remember();
    }

    sort(index, way) {
      this.order = index === null ? null : { index, way };
      const values = index === null ? null : this.values(index);
      const sign = way === "down" ? -1 : 1;
      for (const { body, rows } of this.groups) {
        const sorted = values === null ? rows : [...rows].sort((one, other) => {
          const [a, b] = [values.get(one), values.get(other)];
          if (a === null || b === null) return (a === null) - (b === null);
          return sign * compare(a, b);
        });
        body.append(...sorted);
      }
      if (this.limit !== Infinity) this.limit = STEP;
      this.draw();
      this.heads.forEach((head, place) => {
        if (place === index) head.setAttribute("aria-sort", way === "down" ? "descending" : "ascending");
        else head.removeAttribute("aria-sort");
      });
    }

    say() {
      const seen = this.rows.filter((row) => !row.hidden).length;
      const shown = seen === this.rows.length ? `${seen} rows` : `${seen} of ${this.rows.length} rows`;
      const head = this.order && this.heads[this.order.index];
      const name = head && (head.dataset.name || textOf(head.querySelector("button")));
      const way = this.order?.way === "down" ? "highest first" : "lowest first";
      this.status.textContent = this.order ? `${shown}, by ${name}, ${way}` : shown;
    }

    remember() {}
  }

  class Tooled extends Board {
    constructor(table) {
      super(table);
      const { form } = this;
      this.sheet = new CSSStyleSheet();
      document.adoptedStyleSheets = [...document.adoptedStyleSheets, this.sheet];
      form.querySelectorAll("select[data-column]").forEach((select) => this.fill(select));
      form.hidden = false;
      form.addEventListener("submit", (event) => event.preventDefault());
      form.addEventListener("input", () => { this.apply(); this.remember(); });
      form.addEventListener("reset", () => setTimeout(() => {
        this.sort(null);
        this.apply();
        this.remember();
      }));
      form.querySelector("[data-copy]")?.addEventListener("click", (event) => this.copy(event.currentTarget));
      addEventListener("hashchange", () => this.restore());
      this.restore();
    }

    index(key) {
      return this.keys.indexOf(key);
    }

    fill(select) {
      const index = this.index(select.dataset.column);
      const texts = new Set(this.rows.map((row) => row.cells[index].dataset.text || textOf(row.cells[index])));
      for (const text of [...texts].sort((a, b) => a.localeCompare(b, undefined, { numeric: true }))) {
        select.add(new Option(text || "—", text || "—"));
      }
    }

    get controls() {
      return [...this.form.elements].filter((one) => one.name);
    }

    get toggles() {
      return [...this.form.querySelectorAll("[data-shows]")];
    }

    apply() {
      const tests = this.tests();
      for (const row of this.rows) row.hidden = !tests.every((test) => test(row));
      for (const { body, rows } of this.groups) body.hidden = rows.length > 0 && rows.every((row) => row.hidden);
      this.draw();
      const hidden = this.toggles.filter((one) => !one.checked).map((one) => this.index(one.dataset.shows) + 1);
      const places = hidden.map((place) => `#${CSS.escape(this.table.id)} tr > :nth-child(${place})`);
      this.sheet.replaceSync(places.length ? `${places.join(",")} { display: none }` : "");
      for (const one of this.form.querySelectorAll("[data-sets], [data-unsets]")) {
        this.table.classList.toggle(one.dataset.sets ?? one.dataset.unsets, one.checked === ("sets" in one.dataset));
      }
      this.say();
    }

    tests() {
      const found = [];
      for (const one of this.form.querySelectorAll("input[type=search], select")) {
        if (!one.value) continue;
        if (one.type === "search") {
          const words = one.value.toLowerCase().split(/\s+/).filter(Boolean);
          found.push((row) => words.every((word) => this.words(row).includes(word)));
        } else if (one.dataset.column) {
          const index = this.index(one.dataset.column);
          found.push((row) => (row.cells[index].dataset.text || textOf(row.cells[index]) || "—") === one.value);
        } else {
          found.push((row) => row.parentElement.dataset.key === one.value);
        }
      }
      return found;
    }

    words(row) {
      this.texts ??= new Map();
      if (!this.texts.has(row)) {
        // Names, targets, statuses and marks; numbers are not searched, as any short one would be found everywhere.
        const parts = [row.cells[0], ...row.querySelectorAll("td.w, td em, td a.n")];
        this.texts.set(row, parts.map((part) => part.textContent).join(" ").toLowerCase());
      }
      return this.texts.get(row);
    }

    // The address names what differs from the first view, so that an address without anything is the first view.
    remember() {
      const state = new URLSearchParams();
      if (this.order) state.set("sort", `${this.keys[this.order.index]}.${this.order.way}`);
      for (const one of this.controls) {
        if (one.type === "checkbox") { if (one.checked !== one.defaultChecked) state.set(one.name, one.checked ? "1" : "0"); }
        else if (one.value) state.set(one.name, one.value);
      }
      for (const one of this.toggles) {
        if (one.checked !== one.defaultChecked) state.append(one.checked ? "show" : "hide", one.dataset.shows);
      }
      const section = this.table.dataset.section;
      if (section && [...state].length) state.set("section", section);
      const text = state.toString();
      history.replaceState(null, "", text ? `#${text}` : location.pathname + location.search);
    }

    restore() {
      const state = new URLSearchParams(location.hash.includes("=") ? location.hash.slice(1) : "");
      if (this.elsewhere(state.get("section"))) return;
      for (const one of this.controls) {
        const value = state.get(one.name);
        if (one.type === "checkbox") one.checked = value === null ? one.defaultChecked : value === "1";
        else one.value = value ?? "";
        if (one.tagName === "SELECT" && one.selectedIndex < 0) one.value = "";
      }
      const [show, hide] = [state.getAll("show"), state.getAll("hide")];
      for (const one of this.toggles) {
        const key = one.dataset.shows;
        one.checked = (one.defaultChecked || show.includes(key)) && !hide.includes(key);
      }
      const [, key, way] = /^(.*)\.(up|down)$/.exec(state.get("sort") ?? "") ?? [];
      const index = key === undefined ? -1 : this.index(key);
      this.sort(index < 0 ? null : index, way);
      this.apply();
    }

    // The section with most runs is the index, and may be another one when the board is built again.
    elsewhere(section) {
      if (!section || section === this.table.dataset.section) return false;
      const link = document.querySelector(`a[data-section="${CSS.escape(section)}"]`);
      if (!link) return false;
      location.replace(link.href.split("#")[0] + location.hash);
      return true;
    }

    async copy(button) {
      const done = () => { this.status.textContent = "The link to this view is copied."; };
      try {
        await navigator.clipboard.writeText(location.href);
        done();
      } catch {
        // Pages opened from disk may have no clipboard: the link is shown, selected, to be copied by hand.
        const field = document.createElement("input");
        field.className = "link";
        field.readOnly = true;
        field.value = location.href;
        field.setAttribute("aria-label", "Link to this view");
        button.after(field);
        field.select();
        field.addEventListener("blur", () => field.remove());
        if (document.execCommand("copy")) done();
      }
    }
  }

  for (const table of document.querySelectorAll("table.sortable")) {
    const tools = table.id && document.querySelector(`form.tools[data-for="${CSS.escape(table.id)}"]`);
    tools ? new Tooled(table) : new Board(table);
  }
})();
