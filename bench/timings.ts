/**
 * Runs `micro.c`, `micro_ours.ts` and `micro.py` in turn, each run in its own process.
 *
 * @module
 */

import { showProgress } from "./report.ts";
import { compileC, descriptorLimit, findCPython, findDeno, here } from "./programs.ts";

/** Descriptors that a process needs besides those that it times: standard streams, the selector, and Deno's own. */
const SPARE_DESCRIPTORS = 64;

/** A program to time: its name and its command, to which the case is appended. */
export interface Peer {
  name: string;
  version: string;
  command: string[];
  /** Arguments after the case. */
  suffix: string[];
}

/** A case to time. */
export interface Case {
  measure: "select" | "register" | "modify";
  ready: number;
  idle: number;
}

/** Nanoseconds per turn of one peer in one case, one per round. */
export interface Timing extends Case {
  peer: Peer;
  ns: number[];
}

export const C = "C";
export const C_WITH_THREAD = "C with an idle thread";
export const OURS = "EpollSelector";
export const CPYTHON = "CPython";

/** Finds the peers on this machine. */
export function findPeers(directory: string, python: string): Peer[] {
  const c = compileC("micro.c", directory);
  const cpython = findCPython(python);
  const deno = findDeno();
  const ours = ["EpollSelector", "PollSelector", "SelectSelector"].map((name) => ({
    name,
    version: deno.version,
    command: [...deno.command, "--allow-ffi", here("micro_ours.ts")],
    suffix: [name],
  }));
  return [
    ...c === null ? [] : [
      { name: C, version: c.version, command: c.command, suffix: [] },
      { name: C_WITH_THREAD, version: c.version, command: [...c.command, "--idle-thread"], suffix: [] },
    ],
    ...ours,
    ...cpython === null ? [] : [
      { name: CPYTHON, version: cpython.version, command: [...cpython.command, here("micro.py")], suffix: [] },
    ],
  ];
}

/** Returns the cases for which a process may open enough descriptors, and prints the other cases. */
export function possible(cases: Case[]): Case[] {
  const most = descriptorLimit() - SPARE_DESCRIPTORS;
  return cases.filter(({ ready, idle }) => {
    if (ready + idle <= most) return true;
    console.log(
      `Skipped ${ready} ready and ${idle} idle: raise \`ulimit -n\` to ${ready + idle + SPARE_DESCRIPTORS}`,
    );
    return false;
  });
}

/** Times every peer in every case once per round, so that other load on the machine affects all peers alike. */
export function timeAll(timings: Timing[], rounds: number): void {
  let done = 0;
  for (let round = 1; round <= rounds; round++) {
    for (const timing of timings) {
      timing.ns.push(timeOnce(timing));
      showProgress(++done, rounds * timings.length, `${timing.peer.name}, ${timing.measure}`);
    }
  }
}

function timeOnce({ peer: { name, command: [program, ...args], suffix }, measure, ready, idle }: Timing): number {
  const { success, stdout, stderr } = new Deno.Command(program!, {
    args: [...args, measure, `${ready}`, `${idle}`, ...suffix],
  }).outputSync();
  const decoder = new TextDecoder();
  if (!success) throw new Error(`Cannot time ${name}, ${measure} ${ready} ${idle}: ${decoder.decode(stderr)}`);
  return JSON.parse(decoder.decode(stdout)).ns;
}
