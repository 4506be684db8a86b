// Paint the figures for a light or a dark page, as the system prefers or the button says.
const root = document.documentElement
const models = new Set(cb_obj.roots().flatMap((one) => [...one.references()]))
const inks = [...models].flatMap((model) => Object.entries(model.attributes)
  .map(([name, value]) => ({ model, name, value, ink: value?.value ?? value }))
  .filter(({ name, ink }) => name.endsWith("color") && ink in dark))
const paint = (theme) => {
  root.dataset.theme = theme
  for (const { model, name, value, ink } of inks) {
    model[name] = theme === "light" ? value : value === ink ? dark[ink] : { value: dark[ink] }
  }
}
document.getElementById("theme").onclick =
  () => paint(root.dataset.theme === "dark" ? "light" : "dark")
matchMedia("(prefers-color-scheme: dark)").onchange =
  ({ matches }) => paint(matches ? "dark" : "light")
paint(root.dataset.theme)
