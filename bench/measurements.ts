/**
 * Measures echo servers in rounds, and prints the results.
 *
 * @module
 */

import { median, printTable, ratiosOf, showNumber, showProgress, showRatio, type Spread, spreadOf } from "./report.ts";
import { C, C_IDS, findPinning, type Load, measure, type Measurement, OURS, type Server } from "./servers.ts";

/** Minimum number of connections for the memory table; with fewer, the memory of the process hides theirs. */
const MANY = 1_000;

/** The measurements of a server under a load, one per round. */
export interface Row {
  server: Server;
  load: Load;
  measurements: Measurement[];
}

/** Measures every row once per round, each time in a new process. */
export async function measureAll(rows: Row[], rounds: number, loadProgram: string): Promise<void> {
  const pin = findPinning();
  let done = 0;
  for (let round = 1; round <= rounds; round++) {
    for (const { server, load, measurements } of rows) {
      measurements.push(await measure(server, load, loadProgram, pin));
      const setting = `${load.connections} connections, ${load.idle} idle, ${load.bytes} bytes`;
      showProgress(++done, rounds * rows.length, `${server.name}, ${setting}`);
    }
  }
}

/** Returns the server's processor time per request in microseconds, for each round. */
export function cpuUs({ measurements }: Row): number[] {
  return measurements.map(({ serverCpuSeconds, requests }) => serverCpuSeconds * 1e6 / requests);
}

/** Returns requests per second, for each round. */
export function requestRate({ measurements }: Row): number[] {
  return measurements.map(({ requests, seconds }) => requests / seconds);
}

/** Returns the row of a server under a load. */
export function find(rows: Row[], id: string, load: Load): Row | undefined {
  return rows.find((row) => row.server.id === id && row.load === load);
}

/** Prints a line for each server under each load. */
export function printMeasurements(rows: Row[]): void {
  const columns = [
    { head: "connections" },
    { head: "idle" },
    { head: "bytes" },
    { head: "server", isText: true },
    { head: "requests/s" },
    { head: "CPU us/request" },
    { head: "of C" },
    { head: "p50 us" },
    { head: "p99 us" },
    { head: "p99.9 us" },
    { head: "MB" },
    { head: "load busy" },
    { head: "lost" },
  ];
  printTable(
    columns,
    rows.map((row) => {
      const { server, load, measurements } = row;
      const of = (value: (measurement: Measurement) => number) => median(measurements.map(value));
      const c = find(rows, C, load);
      return [
        showNumber(load.connections),
        showNumber(load.idle),
        showNumber(load.bytes),
        server.name,
        showNumber(median(requestRate(row))),
        showNumber(median(cpuUs(row)), 2),
        c === undefined || c === row ? "" : showRatio(ratiosOf(cpuUs(row), cpuUs(c))),
        showNumber(of(({ p50Us }) => p50Us)),
        showNumber(of(({ p99Us }) => p99Us)),
        showNumber(of(({ p999Us }) => p999Us)),
        showNumber(of(({ residentBytes }) => residentBytes / 1e6)),
        `${showNumber(of(({ loadCpuSeconds, seconds }) => 100 * loadCpuSeconds / seconds))} %`,
        showNumber(lostOf(row)),
      ];
    }),
  );
}

/** Returns the number of connections that were lost in all rounds. */
export function lostOf({ measurements }: Row): number {
  return measurements.reduce((sum, { lost }) => sum + lost, 0);
}

/** Prints the memory of a connection of each server, from the load with the most connections. */
export function printMemory(rows: Row[]): void {
  const countOf = ({ load: { connections, idle } }: Row) => connections + idle;
  const [most] = rows.toSorted((a, b) => countOf(b) - countOf(a));
  if (most === undefined || countOf(most) < MANY) return;
  const count = countOf(most);
  console.log(
    `\nResident memory per connection: that with ${
      showNumber(count)
    } connections at rest, minus that before the first\n` +
      "connection, divided by their number. Each connection has received one byte back. The kernel's memory of a\n" +
      "socket is not included.\n",
  );
  printTable(
    [{ head: "server", isText: true }, { head: "bytes/connection" }, { head: "min..max" }, { head: "MB without" }],
    rows.filter(({ load }) => load === most.load).map(({ server, measurements }) => {
      const { median, min, max } = spreadOf(
        measurements.map(({ emptyBytes, restingBytes }) => (restingBytes - emptyBytes) / count),
      );
      const empty = spreadOf(measurements.map(({ emptyBytes }) => emptyBytes / 1e6));
      return [server.name, showNumber(median), `${showNumber(min)}..${showNumber(max)}`, showNumber(empty.median, 1)];
    }),
  );
}

/** Ratio of processor time above which this package counts as slower than a C server. */
const SLOWER = 1.1;

/** Prints this package's processor time divided by that of the C servers, and names ratios above 1.1. */
export function printRatios(rows: Row[]): void {
  const slower: string[] = [];
  const lines = rows.filter(({ server }) => server.id === OURS).map((ours) => {
    const { connections, idle, bytes } = ours.load;
    const setting = [connections, idle, bytes].map((number) => showNumber(number));
    const ratios = C_IDS.map((id) => {
      const other = find(rows, id, ours.load);
      if (other === undefined) return "";
      const ratio: Spread = ratiosOf(cpuUs(ours), cpuUs(other));
      if (ratio.median > SLOWER) {
        slower.push(`${setting.join(" / ")}: ${showRatio(ratio)} x ${other.server.name}`);
      }
      return showRatio(ratio);
    });
    return [...setting, ...ratios];
  });
  if (lines.every((line) => line.slice(3).every((cell) => cell === ""))) return;
  console.log("\nCPU per request of this package, divided by that of the servers in C:\n");
  printTable([
    { head: "connections" },
    { head: "idle" },
    { head: "bytes" },
    ...C_IDS.map((id) => ({ head: id === C ? "epoll" : id })),
  ], lines);
  if (slower.length === 0) return console.log(`\nNo ratio is above ${SLOWER}.`);
  console.log(`\nAbove ${SLOWER}, by connections / idle / bytes:\n`);
  for (const line of slower) console.log(`- ${line}`);
}
