/**
 * Prints the results of measurements: progress, medians with their spread, tables, and goals.
 *
 * @module
 */

/** Returns the median of some numbers. */
export function median(numbers: number[]): number {
  const sorted = numbers.toSorted((a, b) => a - b);
  return (sorted[(sorted.length - 1) >> 1]! + sorted[sorted.length >> 1]!) / 2;
}

/** A median, the minimum and the maximum. */
export interface Spread {
  median: number;
  min: number;
  max: number;
}

/** Returns the median, minimum and maximum of some numbers. */
export function spreadOf(numbers: number[]): Spread {
  return { median: median(numbers), min: Math.min(...numbers), max: Math.max(...numbers) };
}

/** Returns the ratios of numbers in each round. A slow round affects both numbers, so it hardly affects their ratio. */
export function ratiosOf(numbers: number[], others: number[]): Spread {
  return spreadOf(numbers.map((number, round) => number / others[round]!));
}

/** Returns a ratio with its spread, for a table cell. */
export function showRatio({ median, min, max }: Spread): string {
  return `${median.toFixed(2)} (${min.toFixed(2)}..${max.toFixed(2)})`;
}

/** Formats a number with a fixed number of decimal places, and with commas between thousands. */
export function showNumber(number: number, digits: number = 0): string {
  return number.toLocaleString("en-US", { minimumFractionDigits: digits, maximumFractionDigits: digits });
}

/** Shows the progress of a long run: on a terminal, in one line; elsewhere, in a line per tenth. */
export function showProgress(done: number, of: number, text: string): void {
  const line = `${done} of ${of}: ${text}`;
  if (Deno.stderr.isTerminal()) Deno.stderr.writeSync(new TextEncoder().encode(`\r\x1b[K${done === of ? "" : line}`));
  else if (Math.floor((done * 10) / of) > Math.floor(((done - 1) * 10) / of)) console.error(line);
}

/** A column of a table: its header, and true for text, which is aligned left. Numbers are aligned right. */
export interface Column {
  head: string;
  isText?: boolean;
}

/** Prints a Markdown table. */
export function printTable(columns: Column[], rows: string[][]): void {
  const widths = columns.map(({ head }, index) => Math.max(3, head.length, ...rows.map((row) => row[index]!.length)));
  const print = (cells: string[]) => console.log(`| ${cells.join(" | ")} |`);
  const pad = (row: string[]) =>
    print(
      row.map((cell, index) => columns[index]!.isText ? cell.padEnd(widths[index]!) : cell.padStart(widths[index]!)),
    );
  pad(columns.map(({ head }) => head));
  print(widths.map((width, index) => "-".repeat(width - 1) + (columns[index]!.isText ? "-" : ":")));
  rows.forEach(pad);
}

/** A goal and its measurement. */
export interface Goal {
  /** Name of the measurement. */
  measure: string;
  /** The goal. */
  toReach: string;
  /** The measured value. */
  measured: string;
  /** True if the goal is reached; null if it was not measured because a peer is missing. */
  isReached: boolean | null;
}

/** Checks a ratio against a goal of at most `limit`. */
export function atMost(limit: number, ratio: Spread | null): Pick<Goal, "measured" | "isReached"> {
  return { measured: ratio === null ? "" : showRatio(ratio), isReached: ratio === null ? null : ratio.median <= limit };
}

/** Checks a ratio against a goal of at least `limit`. */
export function atLeast(limit: number, ratio: Spread | null): Pick<Goal, "measured" | "isReached"> {
  return { measured: ratio === null ? "" : showRatio(ratio), isReached: ratio === null ? null : ratio.median >= limit };
}

/** Prints the goals and their results. */
export function printGoals(goals: Goal[]): void {
  const columns = [
    { head: "measure", isText: true },
    { head: "goal", isText: true },
    { head: "measured", isText: true },
    { head: "", isText: true },
  ];
  const word = (isReached: boolean | null) =>
    isReached === null ? "not measured" : isReached ? "reached" : "NOT reached";
  printTable(columns, goals.map((goal) => [goal.measure, goal.toReach, goal.measured, word(goal.isReached)]));
}
