/**
 * Draws the plots in the READMEs: `deno task compare --plot` draws the servers, `deno task micro --plot` the others.
 *
 * @module
 */

import { here, machine } from "./programs.ts";
import { median } from "./report.ts";
import { type Bar, bars, curves, type Point, writeSvg } from "./svg.ts";
import { C, CPYTHON, OURS, type Timing } from "./timings.ts";

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

/** Draws the time of `select(0)` by the number of idle and of ready descriptors. */
export async function drawSelects(timings: Timing[], rounds: number): Promise<void> {
  const selects = (names: string[]) =>
    timings.filter(({ peer, measure }) => measure === "select" && names.includes(peer.name));
  const beside = selects([OURS, "PollSelector", "SelectSelector"]).filter(({ ready }) => ready === 1);
  // Only powers of ten, which are on the axis; five descriptors are measured only for a goal.
  const events = selects([C, OURS, CPYTHON]).filter(({ ready, idle }) => ready !== 5 && idle === 0);
  const subtitleFor = (timings: Timing[]) =>
    subtitleOf(`medians of ${rounds} rounds`, [...new Set(timings.map(({ peer }) => peer.version))]);

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

function subtitleOf(statistics: string, versions: string[]): string {
  const date = new Date().toISOString().slice(0, 10);
  return [machine(), statistics, date, ...versions].join("; ");
}
