"use strict"
// Charts that a reader may move. The page holds each chart as a drawing that needs no script; this adds a button beside
// it, and only who presses that loads Vega and the chart's data. Nothing is fetched, evaluated or styled inline: both
// are scripts of this site, Vega interprets its expressions, and sizes are set through the object model.
;(() => {
  const root = new URL("../", document.currentScript.src)
  const waiting = new Map()
  const scripts = new Map()

  window.paretuneChart = (name, content) => waiting.get(name)?.(content)

  function load(place) {
    if (!scripts.has(place)) {
      scripts.set(place, new Promise((resolve, reject) => {
        const script = document.createElement("script")
        script.src = place
        script.addEventListener("load", resolve)
        script.addEventListener("error", () => reject(new Error(`cannot load ${place}`)))
        document.head.append(script)
      }))
    }
    return scripts.get(place)
  }

  async function contentOf(frame) {
    const content = new Promise(resolve => waiting.set(frame.dataset.name, resolve))
    await Promise.all([load(new URL("static/vega.js", root).href), load(new URL(frame.dataset.chart, root).href)])
    return content
  }

  function coloured(content) {
    // A variable may hold light-dark(...): only the colour of an element says which of the two it is now.
    const probe = element("span", { hidden: true })
    document.body.append(probe)
    let text = JSON.stringify(content.spec)
    for (const [marker, variable] of Object.entries(content.colours)) {
      probe.style.color = `var(${variable})`
      text = text.replaceAll(marker, getComputedStyle(probe).color)
    }
    probe.remove()
    return JSON.parse(text)
  }

  function element(name, properties, ...children) {
    const made = Object.assign(document.createElement(name), properties)
    made.append(...children)
    return made
  }

  // Powers of ten, with 2 and 5 between where those are few: as the drawing has them.
  function ticks(low, high) {
    const powers = []
    for (let power = Math.floor(Math.log10(low)); power <= Math.ceil(Math.log10(high)); power += 1) powers.push(power)
    const inside = value => low <= value && value <= high
    const round = powers.map(power => Number(`1e${power}`)).filter(inside)
    return round.length > 2 ? round : powers.flatMap(power => [1, 2, 5].map(factor => Number(`${factor}e${power}`))).filter(inside)
  }

  class Chart {
    constructor(frame, content, button) {
      this.frame = frame
      this.content = content
      this.button = button
      this.drawing = frame.querySelector("svg")
      this.points = this.pointsOf(content.spec.datasets)
      this.at = -1
      this.canvas = element("div", { className: "chart-live", tabIndex: 0 })
      this.canvas.setAttribute("role", "group")
      this.canvas.setAttribute("aria-label", `${this.drawing.getAttribute("aria-label")} Left and right arrows step ` +
        "through the points, plus and minus zoom, 0 shows all.")
      this.tip = element("div", { className: "chart-tip", hidden: true })
      this.tip.setAttribute("role", "status")
      this.tools = this.toolbar()
      frame.append(this.canvas, this.tip, this.tools)
      this.listen()
    }

    pointsOf(datasets) {
      const marks = ["filled", "hollow", "quoted"].flatMap(name => datasets[name] ?? [])
      return marks.sort((a, b) => a.x - b.x || b.y - a.y)
    }

    get range() {
      return this.content.spec.params.slice(0, 2).map(one => Math.log(one.value))
    }

    toolbar() {
      const press = (label, title, action) => {
        const made = element("button", { type: "button", textContent: label, title })
        made.addEventListener("click", action)
        return made
      }
      const zoom = [press("−", "Zoom out", () => this.zoom(1.5)), press("+", "Zoom in", () => this.zoom(1 / 1.5)),
        press("All", "Show all", () => this.move(...this.range))]
      const rows = Object.values(this.content.spec.datasets).flat()
      const names = [...new Set(rows.map(row => row.name).filter(Boolean))]
      this.names = names.map(name => {
        const made = press(name, `Single out ${name}`, () => this.focus(made.ariaPressed === "true" ? "" : name))
        made.ariaPressed = "false"
        return made
      })
      const tools = element("div", { className: "chart-buttons" }, ...zoom, ...this.names)
      tools.setAttribute("role", "group")
      tools.setAttribute("aria-label", "Chart controls")
      return tools
    }

    async draw() {
      const options = { ast: true, actions: false, defaultStyle: false, tooltip: false, renderer: "svg" }
      const kept = this.view && ["low", "high", "focus", "at"].map(name => [name, this.view.signal(name)])
      this.result?.finalize()
      this.result = await window.vegaEmbed(this.canvas, coloured(this.content), options)
      this.view = this.result.view
      for (const [name, value] of kept ?? []) this.view.signal(name, value)
      await this.view.runAsync()
      this.view.addEventListener("pointermove", (event, item) => this.show(item?.datum?.words ? item.datum : null))
      this.view.addEventListener("pointerout", () => this.show(null))
      this.live = this.canvas.querySelector("svg")
      this.toggle(true)
    }

    toggle(on) {
      this.on = on
      this.drawing.classList.toggle("chart-off", on)
      for (const part of [this.canvas, this.tools]) part.hidden = !on
      if (!on) this.show(null)
      this.button.textContent = on ? "Static" : "Interactive"
    }

    get scale() {
      return this.live.getBoundingClientRect().width / this.live.viewBox.baseVal.width
    }

    bounds() {
      return [Math.log(this.view.signal("low")), Math.log(this.view.signal("high"))]
    }

    move(low, high) {
      this.show(null)
      const ends = [Math.exp(low), Math.exp(high)]
      return this.view.signal("low", ends[0]).signal("high", ends[1]).signal("at", ticks(...ends)).runAsync()
    }

    zoom(factor, at = 0.5) {
      const [low, high] = this.bounds()
      const middle = low + (high - low) * at
      const [least, most] = this.range
      const span = Math.min(Math.max((high - low) * factor, 0.1), (most - least) * 2)
      return this.move(middle - span * at, middle + span * (1 - at))
    }

    focus(name) {
      for (const one of this.names) one.ariaPressed = String(one.textContent === name)
      return this.view.signal("focus", name).runAsync()
    }

    step(by) {
      const [low, high] = this.bounds().map(Math.exp)
      const seen = this.points.filter(one => one.x >= low && one.x <= high && one.words)
      if (!seen.length) return
      this.at = (this.at + by + seen.length) % seen.length
      this.show(seen[this.at])
    }

    show(datum) {
      this.tip.hidden = !datum
      if (!datum) return
      const [[, title], ...rest] = datum.words
      const list = element("dl", {}, ...rest.flatMap(([name, text]) =>
        [element("dt", { textContent: name }), element("dd", { textContent: text })]))
      this.tip.replaceChildren(element("b", { textContent: title }), list)
      const spot = this.spot(datum)
      const room = this.frame.getBoundingClientRect()
      const left = Math.min(Math.max(spot.x - room.left + 12, 0), Math.max(0, room.width - this.tip.offsetWidth))
      const below = spot.y - room.top + 14
      this.tip.style.left = `${left}px`
      this.tip.style.top = `${below}px`
    }

    spot(datum) {
      const box = this.live.getBoundingClientRect()
      const [left, top] = this.view.origin()
      return {
        x: box.left + (left + this.view.scale("x")(datum.x)) * this.scale,
        y: box.top + (top + this.view.scale("y")(datum.y)) * this.scale,
      }
    }

    listen() {
      const keys = { ArrowRight: () => this.step(1), ArrowLeft: () => this.step(-1), "+": () => this.zoom(1 / 1.5),
        "-": () => this.zoom(1.5), 0: () => this.move(...this.range), Escape: () => this.show(null) }
      this.canvas.addEventListener("keydown", event => {
        const action = event.ctrlKey || event.metaKey || event.altKey ? null : keys[event.key]
        if (!action) return
        event.preventDefault()
        action()
      })
      this.canvas.addEventListener("blur", () => this.show(null))
      // The wheel belongs to the page until the chart has the focus.
      this.canvas.addEventListener("wheel", event => {
        if (document.activeElement !== this.canvas) return
        event.preventDefault()
        this.zoom(event.deltaY > 0 ? 1.2 : 1 / 1.2, this.share(event))
      }, { passive: false })
      this.canvas.addEventListener("pointerdown", event => this.drag(event))
    }

    share(event) {
      const inside = (event.clientX - this.live.getBoundingClientRect().left) / this.scale - this.view.origin()[0]
      return Math.min(Math.max(inside / this.content.width, 0), 1)
    }

    drag(start) {
      if (start.pointerType === "touch") return // which scrolls the page
      const [low, high] = this.bounds()
      const from = this.share(start)
      const moved = event => {
        const by = (this.share(event) - from) * (high - low)
        if (by) this.move(low - by, high - by)
      }
      window.addEventListener("pointermove", moved)
      window.addEventListener("pointerup", () => window.removeEventListener("pointermove", moved), { once: true })
    }
  }

  const charts = []

  function offer(frame) {
    const button = element("button", { type: "button", className: "chart-ask", textContent: "Interactive" })
    let chart = null
    button.addEventListener("click", async () => {
      if (chart) {
        chart.toggle(!chart.on)
        return
      }
      button.disabled = true
      try {
        const made = new Chart(frame, await contentOf(frame), button)
        await made.draw()
        chart = made
        charts.push(made)
      } catch (error) {
        button.textContent = `No interactive chart: ${error.message}`
        return
      }
      button.disabled = false
      chart.canvas.focus({ preventScroll: true })
    })
    const tools = frame.parentElement.querySelector(".chart-files")
    if (tools) tools.prepend(button)
    else frame.after(button)
  }

  const recolour = () => charts.forEach(chart => chart.draw())
  matchMedia("(prefers-color-scheme: dark)").addEventListener("change", recolour)
  new MutationObserver(recolour).observe(document.documentElement, { attributes: true, attributeFilter: ["class", "data-theme"] })
  document.querySelectorAll("[data-chart]").forEach(offer)
})()
