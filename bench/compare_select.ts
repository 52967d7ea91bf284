/**
 * Times one turn of an event loop, `select(0)` and the walk over what it gave, beside C and CPython.
 *
 * Each number is the median over the rounds, and each round times every peer once, each in a process of its own, so
 * that what else the machine does meets all of them alike.
 *
 * ```sh
 * deno task compare --rounds 7
 * ```
 *
 * @module
 */

import { parseArgs } from "node:util";
import { os } from "../ffi/platform.ts";

const SIZES = [1, 100, 10_000];

/** Descriptors that a process needs beside those that it times: its standard streams, the selector, Deno's own. */
const SPARE_DESCRIPTORS = 64;

const C = "C epoll_wait";
const OURS = "EpollSelector";
const CPYTHON = "CPython EpollSelector";

/** Who is timed, and its command, to which the number of ready descriptors is added. */
interface Peer {
  name: string;
  command: string[];
}

/** The nanoseconds per turn of one peer and size, one number for each round. */
interface Row {
  ready: number;
  peer: Peer;
  ns: number[];
}

function parseRounds(): number {
  const { values } = parseArgs({ options: { rounds: { type: "string", default: "7" } } });
  const rounds = Number(values.rounds);
  if (Number.isInteger(rounds) && rounds > 0) return rounds;
  throw new RangeError(`Cannot run ${values.rounds} rounds: use a whole number above 0`);
}

/** Runs a command and gives what it printed, or null if there is no such command or it failed. */
function tryRun([program, ...args]: string[]): string | null {
  try {
    const { success, stdout } = new Deno.Command(program!, { args, stderr: "null" }).outputSync();
    return success ? new TextDecoder().decode(stdout).trim() : null;
  } catch (error) {
    if (error instanceof Deno.errors.NotFound) return null;
    throw error;
  }
}

/** The path of a file of this directory. */
function here(name: string): string {
  return `${import.meta.dirname!}/${name}`;
}

function cPeers(directory: string): Peer[] {
  const version = tryRun(["cc", "--version"]);
  if (version === null) {
    console.log("C is left out: install a C compiler that is called `cc`, for example gcc");
    return [];
  }
  const binary = `${directory}/select`;
  if (tryRun(["cc", "-O2", "-pthread", here("select.c"), "-o", binary]) === null) {
    console.log("C is left out: `cc` cannot compile select.c; install the headers of the C library");
    return [];
  }
  console.log(`C         ${version.split("\n")[0]}`);
  return [
    { name: C, command: [binary] },
    { name: "C with an idle thread", command: [binary, "--idle-thread"] },
  ];
}

function ourPeers(): Peer[] {
  console.log(`Deno      ${Deno.version.deno} (V8 ${Deno.version.v8})`);
  return [OURS, "PollSelector", "SelectSelector"].map((name) => ({
    name,
    command: [Deno.execPath(), "run", "--quiet", "--allow-ffi", here("select_ours.ts"), name],
  }));
}

function cpythonPeers(): Peer[] {
  const version = tryRun(["python3", "-c", "import os, sys; os.eventfd; print(sys.version)"]);
  if (version === null) {
    console.log("CPython is left out: install a `python3` from 3.10 on, which is the first with os.eventfd()");
    return [];
  }
  console.log(`CPython   ${version.replaceAll("\n", " ")}`);
  // Isolated (-I), so that select.py does not stand in for the module of this name.
  return [{ name: CPYTHON, command: ["python3", "-I", here("select.py")] }];
}

/** The sizes, cut to what this system lets one process open. */
function sizesWithin(limit: number): number[] {
  const most = limit - SPARE_DESCRIPTORS;
  const sizes = SIZES.map((size) => Math.min(size, most));
  if (most < Math.max(...SIZES)) {
    console.log(`No more than ${most} ready descriptors: \`ulimit -n\` is ${limit}, so raise it to time the rest`);
  }
  return [...new Set(sizes)];
}

/** How many descriptors the processes that are started from here can open. */
function descriptorLimit(): number {
  const limit = Number(tryRun(["sh", "-c", "ulimit -n"]));
  return Number.isNaN(limit) ? Infinity : limit; // it prints "unlimited" where it is
}

function timeOnce({ peer: { name, command: [program, ...args] }, ready }: Row): number {
  const { success, stdout, stderr } = new Deno.Command(program!, { args: [...args, `${ready}`] }).outputSync();
  const decoder = new TextDecoder();
  if (!success) throw new Error(`Cannot time ${name} with ${ready} ready descriptors: ${decoder.decode(stderr)}`);
  return JSON.parse(decoder.decode(stdout)).ns;
}

function timeAll(rows: Row[], rounds: number): void {
  for (let round = 1; round <= rounds; round++) {
    for (const [index, row] of rows.entries()) {
      showProgress(`round ${round} of ${rounds}, process ${index + 1} of ${rows.length}`);
      row.ns.push(timeOnce(row));
    }
  }
  showProgress("");
}

/** Overwrites the last line of progress. */
function showProgress(text: string): void {
  if (Deno.stderr.isTerminal()) Deno.stderr.writeSync(new TextEncoder().encode(`\r\x1b[K${text}`));
  else if (text.includes("process 1 of")) console.error(text);
}

function median(numbers: number[]): number {
  const sorted = numbers.toSorted((a, b) => a - b);
  return (sorted[(sorted.length - 1) >> 1]! + sorted[sorted.length >> 1]!) / 2;
}

function ratio(row: Row, name: string, rows: Row[]): string {
  const other = rows.find(({ ready, peer }) => ready === row.ready && peer.name === name);
  return other === undefined ? "" : (median(row.ns) / median(other.ns)).toFixed(2);
}

function cellsOf(row: Row, rows: Row[]): string[] {
  const whole = (ns: number) => Math.round(ns).toLocaleString("en-US");
  return [
    row.ready.toLocaleString("en-US"),
    row.peer.name,
    whole(median(row.ns)),
    `${whole(Math.min(...row.ns))}..${whole(Math.max(...row.ns))}`,
    (median(row.ns) / row.ready).toFixed(1),
    ratio(row, C, rows),
    ratio(row, OURS, rows),
  ];
}

/** Prints a table in Markdown: the second column to the left, the numbers to the right. */
function printTable(lines: string[][]): void {
  const widths = lines[0]!.map((_, column) => Math.max(...lines.map((line) => line[column]!.length)));
  const rule = widths.map((width, column) => "-".repeat(width - 1) + (column === 1 ? "-" : ":"));
  for (const line of [lines[0]!, rule, ...lines.slice(1)]) {
    const cells = line.map((cell, column) => column === 1 ? cell.padEnd(widths[1]!) : cell.padStart(widths[column]!));
    console.log(`| ${cells.join(" | ")} |`);
  }
}

function main(): void {
  if (os !== "linux") throw new Deno.errors.NotSupported("Cannot compare: epoll and eventfd are Linux's");
  const rounds = parseRounds();
  const directory = Deno.makeTempDirSync();
  try {
    console.log(`Linux     ${Deno.osRelease()}, ${navigator.hardwareConcurrency} CPUs`);
    const peers = [...cPeers(directory), ...ourPeers(), ...cpythonPeers()];
    const sizes = sizesWithin(descriptorLimit());
    const rows: Row[] = sizes.flatMap((ready) => peers.map((peer) => ({ ready, peer, ns: [] })));
    timeAll(rows, rounds);
    console.log(`\nOne turn: select(0) and the walk over its events. Median and range of ${rounds} rounds.\n`);
    const head = ["ready", "", "ns/select", "min..max", "ns/event", "of C", "of ours"];
    printTable([head, ...rows.map((row) => cellsOf(row, rows))]);
    console.log(`\n"of C" and "of ours" are the time as a multiple of ${C} and of ${OURS}.`);
  } finally {
    Deno.removeSync(directory, { recursive: true });
  }
}

main();
