/**
 * Draws the pictures of the README, from a comparison of servers and from timings of `select(0)`.
 *
 * @module
 */

import { here, machine } from "./programs.ts";
import { median } from "./report.ts";
import { type Bar, bars, curves, type Point, writeSvg } from "./svg.ts";
import { C, CPYTHON, findPeers, OURS, possible, timeAll, type Timing } from "./timings.ts";

const COUNTS = [10, 100, 1_000, 10_000];

/** Draws the processor time per request of each server. */
export async function drawServers(all: Bar[], rounds: number, versions: string[]): Promise<void> {
  await writeSvg(
    pathOf("cpu_per_request"),
    bars(all, {
      title: "Processor time per request of an echo server",
      subtitle: subtitleOf(`medians and ranges of ${rounds} rounds`, versions),
      x: "microseconds, user and system",
    }),
  );
}

/** Times `select(0)` by the number of idle and of ready descriptors, and draws both. */
export async function drawSelects(directory: string, python: string, rounds: number): Promise<void> {
  const peers = findPeers(directory, python);
  const subtitleFor = (timings: Timing[]) =>
    subtitleOf(`medians of ${rounds} rounds`, [...new Set(timings.map(({ peer }) => peer.version))]);
  const timed = (cases: { ready: number; idle: number }[], names: string[]): Timing[] =>
    possible(cases.map((one) => ({ measure: "select", ...one }))).flatMap((one) =>
      peers.filter(({ name }) => names.includes(name)).map((peer) => ({ ...one, peer, ns: [] }))
    );
  const beside = timed([0, ...COUNTS].map((idle) => ({ ready: 1, idle })), [OURS, "PollSelector", "SelectSelector"]);
  const events = timed([1, ...COUNTS].map((ready) => ({ ready, idle: 0 })), [C, OURS, CPYTHON]);
  timeAll([...beside, ...events], rounds);

  const ofIdle = ({ peer, idle, ns }: Timing): Point => ({ name: peer.name, count: idle, value: median(ns) / 1e3 });
  await writeSvg(
    pathOf("idle"),
    curves(
      beside.map(ofIdle),
      {
        title: "One select(0) that finds one ready descriptor",
        subtitle: subtitleFor(beside),
        x: "idle descriptors",
        y: "microseconds",
      },
      true,
    ),
  );
  const ofReady = ({ peer, ready, ns }: Timing): Point => ({
    name: peer.name === CPYTHON ? "CPython's EpollSelector" : peer.name === C ? "C, epoll_wait" : peer.name,
    count: ready,
    value: median(ns) / ready,
  });
  await writeSvg(
    pathOf("ready"),
    curves(
      events.map(ofReady),
      {
        title: "One select(0), per event",
        subtitle: subtitleFor(events),
        x: "ready descriptors",
        y: "nanoseconds per event",
      },
      false,
    ),
  );
}

function pathOf(name: string): string {
  Deno.mkdirSync(here("plots"), { recursive: true });
  return here(`plots/${name}.svg`);
}

function subtitleOf(statistics: string, versions: string[]): string[] {
  const date = new Date().toISOString().slice(0, 10);
  return [`${machine()}; ${statistics}; ${date}`, versions.join("; ")];
}
