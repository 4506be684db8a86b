// What a menu's change does: show the sheet and the run that the menus name.
// The last four are seed, eta_init, eta_trgt and t_wrm; those before them say which part it is of.
const places = menus.map((menu) => Number(menu.value))
const flat = (from, to) => places.slice(from, to)
  .reduce((index, place, axis) => index * shape[from + axis] + place, 0)
const others = menus.length - 4
const cell = flat(0, menus.length)
const part_of_store = flat(0, others)
const [seed, init, trgt, wrm] = places.slice(others)
// Columns may be typed arrays, plain ones are wanted.
const part = (column, from, to) => Array.prototype.slice.call(column, from, to)

const sheet = part_of_store * (sheets / over_eta.length)
  + init * (sheets / over_eta.length / shape[others + 1]) + (of.value === "one" ? 1 + seed : 0)
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
const visible = (bound) => (bound <= frame("sharpness_high") ? bound : NaN)
curve.data = {
  step, eta,
  loss: log_loss.map((power) => 10 ** power),
  threshold: eta.map((rate) => over_eta[part_of_store] / rate - decay[part_of_store])
    .map(visible),
  step_threshold: eta.map((rate) => 2 / rate).map(visible),
}
const seen = step.map((_, row) => row).filter((row) => Number.isFinite(sharpness[row]))
measured.data = { step: seen.map((row) => step[row]), sharpness: seen.map((row) => sharpness[row]) }
for (const [name, source] of Object.entries(beside)) {
  const values = part(curves.data[name], from, to)
  const rows = step.map((_, row) => row).filter((row) => values[row] > 0 && Number.isFinite(values[row]))
  source.data = { step: rows.map((row) => step[row]), [name]: rows.map((row) => values[row]) }
}
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
const [of_seed, of_init, of_trgt, of_wrm] = menus.slice(others)
put("run", [...menus.slice(0, others), of_trgt, of_wrm, of_seed, of_init]
  .map((menu) => `${menu.name} ${label(menu)}`).join(", "))
put("words", words[cell].map((one) => sentences[one]).join(". "))
const at = menus.filter((menu) => menu.options.length > 1)
  .map((menu) => `${menu.name}=${label(menu)}`).join(",")
const quoted = /^[\w.,=+-]*$/.test(at) ? at : `'${at.replaceAll("'", "'\\''")}'`
if (explain) put("explain", explain.replace("CELL", at ? ` --cell ${quoted}` : ""))
for (const entry of document.querySelectorAll("[data-number]")) {
  entry.textContent = plain(numbers.data[entry.dataset.number][cell])
}
