// A number in five digits, without a plus sign; a dash where there is none.
const plain = (value) => {
  if (typeof value === "string") return value
  if (!Number.isFinite(value)) return "–"
  const rounded = Number(value.toPrecision(5))
  return (Math.abs(rounded) < 1e6 ? String(rounded) : rounded.toExponential()).replace("e+", "e")
}
