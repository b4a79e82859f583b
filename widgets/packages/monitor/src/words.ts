/** How a number, a size and an age read; `neuralake_kernel/view/words.py` says them alike. */

const WHOLE = new Intl.NumberFormat("en-US", { maximumFractionDigits: 0 });
const ONE_DECIMAL = new Intl.NumberFormat("en-US", {
  minimumFractionDigits: 1,
  maximumFractionDigits: 1,
});

export const UNKNOWN = "–";
/** Between two facts of a line; it ends a line rather than begin one. */
export const SEPARATOR = "\u00a0· ";

/** Whole number with thousands apart; a dash where it is not known. */
export function countText(value: number | null | undefined): string {
  return value == null ? UNKNOWN : WHOLE.format(value);
}

/** A count with its noun. */
export function counted(value: number, one: string, many = `${one}s`): string {
  return `${WHOLE.format(value)} ${value === 1 ? one : many}`;
}

/** The figure of a speed; one decimal below ten. */
export function rateText(value: number | null | undefined): string {
  if (value == null) {
    return UNKNOWN;
  }
  return value > 0 && value < 9.95 ? ONE_DECIMAL.format(value) : WHOLE.format(value);
}

/** Bytes in decimal units. */
export function sizeText(value: number | null | undefined): string {
  if (value == null) {
    return UNKNOWN;
  }
  let left = value;
  for (const unit of ["B", "kB", "MB", "GB"]) {
    if (left < 999.5) {
      return `${unit === "B" || left >= 9.95 ? WHOLE.format(left) : ONE_DECIMAL.format(left)} ${unit}`;
    }
    left /= 1000;
  }
  return `${ONE_DECIMAL.format(left)} TB`;
}

/** A latency: milliseconds below a second, where each one counts. */
export function latencyText(milliseconds: number): string {
  if (milliseconds >= 999.5) {
    return `${ONE_DECIMAL.format(milliseconds / 1000)} s`;
  }
  return `${milliseconds < 9.95 ? ONE_DECIMAL.format(milliseconds) : WHOLE.format(milliseconds)} ms`;
}

/** A length of time in its largest fitting unit. */
export function ageText(seconds: number | null | undefined): string {
  if (seconds == null) {
    return UNKNOWN;
  }
  if (seconds < 0.0995) {
    return `${WHOLE.format(seconds * 1000)} ms`;
  }
  if (seconds < 120) {
    return `${seconds < 9.95 ? ONE_DECIMAL.format(seconds) : WHOLE.format(seconds)} s`;
  }
  return seconds < 7200
    ? `${WHOLE.format(seconds / 60)} min`
    : `${WHOLE.format(seconds / 3600)} h`;
}
