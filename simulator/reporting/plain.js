// A number in five digits, without a plus sign; a dash where there is none.
const plain = (value) =>
  typeof value === "string" ? value
    : Number.isFinite(value) ? String(Number(value.toPrecision(5))).replace("e+", "e") : "–"
