// What a menu's change does: show the sheet and the run that the menus name.
const [seed, init, trgt, wrm] = menus.map((menu) => Number(menu.value))
const cell = ((seed * shape[1] + init) * shape[2] + trgt) * shape[3] + wrm
// Columns may be typed arrays, plain ones are wanted.
const part = (column, from, to) => Array.prototype.slice.call(column, from, to)

const sheet = init * (sheets / shape[1]) + (of.value === "one" ? 1 + seed : 0)
for (const [name, all] of Object.entries(every)) {
  const length = all.get_length() / sheets
  const columns = Object.entries(all.data)
  shown[name].data = { ...shown[name].data, ...Object.fromEntries(
    columns.map(([key, column]) => [key, part(column, sheet * length, (sheet + 1) * length)])) }
}
outline.data = {
  left: [x_edges[trgt]], right: [x_edges[trgt + 1]],
  bottom: [y_edges[wrm]], top: [y_edges[wrm + 1]],
}

const [from, to] = [cells.data.row[cell], cells.data.row[cell + 1]]
const [step, log_loss, sharpness, eta] =
  ["step", "loss", "sharpness", "eta"].map((name) => part(curves.data[name], from, to))
const frame = (name) => cells.data[name][cell]
curve.data = {
  step, eta,
  loss: log_loss.map((power) => 10 ** power),
  threshold: eta.map((rate) => over_eta / rate - decay)
    .map((borne) => (borne <= frame("sharpness_high") ? borne : NaN)),
}
const seen = step.map((_, row) => row).filter((row) => Number.isFinite(sharpness[row]))
measured.data = { step: seen.map((row) => step[row]), sharpness: seen.map((row) => sharpness[row]) }
const [first, last] = [cells.data.span[cell], cells.data.span[cell + 1]]
spans.data = {
  start: part(all_spans.data.start, first, last), end: part(all_spans.data.end, first, last),
  color: part(all_spans.data.kind, first, last).map((kind) => colors[kind]),
}

const show = (range, low, high) => {
  if (low < high) { range.start = low; range.end = high }
}
show(ranges.step, 0, frame("rows"))
show(ranges.loss, frame("loss_low"), frame("loss_high"))
show(ranges.sharpness, frame("sharpness_low"), frame("sharpness_high"))
show(ranges.eta, frame("eta_low"), frame("eta_high"))

// Text, never markup.
const put = (id, text) => { document.getElementById(id).textContent = text }
const label = (menu) => menu.options.find(([value]) => value === menu.value)[1]
put("run", [menus[2], menus[3], menus[0], menus[1]]
  .map((menu) => `${menu.name} ${label(menu)}`).join(", "))
put("words", cells.data.words[cell])
for (const entry of document.querySelectorAll("[data-number]")) {
  const value = numbers.data[entry.dataset.number][cell]
  entry.textContent =
    typeof value === "string" ? value : Number.isFinite(value) ? String(Number(value.toPrecision(5))) : "–"
}
