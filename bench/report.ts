/**
 * What the measuring programs print: progress while they run, medians with their spread, tables, and what was reached.
 *
 * @module
 */

/** The middle of some numbers. */
export function median(numbers: number[]): number {
  const sorted = numbers.toSorted((a, b) => a - b);
  return (sorted[(sorted.length - 1) >> 1]! + sorted[sorted.length >> 1]!) / 2;
}

/** A median and what it lies between. */
export interface Spread {
  median: number;
  min: number;
  max: number;
}

/** The median of some numbers, the least and the greatest. */
export function spreadOf(numbers: number[]): Spread {
  return { median: median(numbers), min: Math.min(...numbers), max: Math.max(...numbers) };
}

/** Numbers as multiples of others, round by round, so that what slowed a round down stands on both sides. */
export function ratiosOf(numbers: number[], others: number[]): Spread {
  return spreadOf(numbers.map((number, round) => number / others[round]!));
}

/** A ratio with its spread, for a cell of a table. */
export function showRatio({ median, min, max }: Spread): string {
  return `${median.toFixed(2)} (${min.toFixed(2)}..${max.toFixed(2)})`;
}

/** A number with so many digits after its point, and commas between its thousands. */
export function showNumber(number: number, digits: number = 0): string {
  return number.toLocaleString("en-US", { minimumFractionDigits: digits, maximumFractionDigits: digits });
}

/** Shows how far a long run is: on a terminal in one line, elsewhere in a line for each tenth of the way. */
export function showProgress(done: number, of: number, text: string): void {
  const line = `${done} of ${of}: ${text}`;
  if (Deno.stderr.isTerminal()) Deno.stderr.writeSync(new TextEncoder().encode(`\r\x1b[K${done === of ? "" : line}`));
  else if (Math.floor((done * 10) / of) > Math.floor(((done - 1) * 10) / of)) console.error(line);
}

/** A column of a table: its head, and whether it holds words, which stand to the left, or numbers. */
export interface Column {
  head: string;
  isText?: boolean;
}

/** Prints a table in Markdown. */
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

/** Something to reach, and what was measured. */
export interface Goal {
  /** What is measured. */
  measure: string;
  /** What it is to be. */
  toReach: string;
  /** What it is. */
  measured: string;
  /** Whether that is enough; null if it was not measured, because a peer is left out. */
  isReached: boolean | null;
}

/** A goal for a ratio: at most `limit`. */
export function atMost(limit: number, ratio: Spread | null): Pick<Goal, "measured" | "isReached"> {
  return { measured: ratio === null ? "" : showRatio(ratio), isReached: ratio === null ? null : ratio.median <= limit };
}

/** A goal for a ratio: at least `limit`. */
export function atLeast(limit: number, ratio: Spread | null): Pick<Goal, "measured" | "isReached"> {
  return { measured: ratio === null ? "" : showRatio(ratio), isReached: ratio === null ? null : ratio.median >= limit };
}

/** Prints what was to reach, and whether it was. */
export function printGoals(goals: Goal[]): void {
  const columns = [
    { head: "measure", isText: true },
    { head: "to reach", isText: true },
    { head: "measured", isText: true },
    { head: "", isText: true },
  ];
  const word = (isReached: boolean | null) =>
    isReached === null ? "not measured" : isReached ? "reached" : "NOT reached";
  printTable(columns, goals.map((goal) => [goal.measure, goal.toReach, goal.measured, word(goal.isReached)]));
}
