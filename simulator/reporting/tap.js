// A click on a cell: put its eta_trgt and t_wrm into the menus, whose change does the rest.
const place = (edges, value) => {
  for (let i = 0; i + 1 < edges.length; i++) {
    if (edges[i] <= value && value < edges[i + 1]) return i
  }
  return -1
}
const [trgt, wrm] = [place(x_edges, cb_obj.x), place(y_edges, cb_obj.y)]
if (trgt >= 0 && wrm >= 0) {
  menus.at(-2).value = String(trgt)
  menus.at(-1).value = String(wrm)
}
