/**
 * Runs several commands, restarts those that fail, and ends all of them at Ctrl-C.
 *
 * The program waits for the ends of its children, for timers and for signals in one loop. The data of each registration
 * is a function, which the loop calls. The loop waits beside Deno's event loop, so that Deno can reap the children.
 *
 * ```sh
 * deno run --allow-ffi --allow-run jsr:@selectors/selectors/examples/supervisor "sleep 2; exit 1" "sleep 5"
 * ```
 *
 * @module
 */

import { ProcessExit, type ProcessResult, Signals, Timer } from "@selectors/selectors/sources";
import { DefaultSelector, EVENT_READ } from "@selectors/selectors";

/** Time before a command that failed starts again, and before a child that ignores SIGTERM is killed. */
const RESTART_SECONDS = 1;
const PATIENCE_SECONDS = 5;

if (Deno.args.length === 0) {
  console.log('Pass commands to run; try: supervisor "sleep 2; exit 1" "sleep 5"');
  Deno.exit(2);
}
using selector = new DefaultSelector<() => void, Signals | ProcessExit | Timer>();
using signals = new Signals(["SIGINT", "SIGTERM"]);
selector.register(signals, EVENT_READ, stop);

const children = new Map<ProcessExit, Deno.ChildProcess>();
const restarts = new Set<Timer>();
let isStopping = false;

for (const command of Deno.args) start(command);
console.log("Running; press Ctrl-C to end");
for await (const [key] of selector) {
  key.data();
  if (children.size === 0 && restarts.size === 0) break;
}
console.log("All commands have ended");

function start(command: string): void {
  const child = new Deno.Command("sh", { args: ["-c", command], stdin: "null" }).spawn();
  const exit = new ProcessExit(child.pid); // right after spawn(), before Deno can reap the child
  children.set(exit, child);
  selector.register(exit, EVENT_READ, () => {
    const result = exit.read();
    if (result !== null) ended(command, exit, result);
  });
  console.log(`[${child.pid}] started: ${command}`);
}

function ended(command: string, exit: ProcessExit, { code, signal }: ProcessResult): void {
  console.log(`[${exit.pid}] ended with ${signal ?? `code ${code}`}: ${command}`);
  selector.unregister(exit);
  children.delete(exit);
  exit.close();
  if (code !== 0 && !isStopping) after(RESTART_SECONDS, () => start(command), restarts);
}

/** Calls a function after some seconds; its timer is in `timers` until then. */
function after(seconds: number, action: () => void, timers: Set<Timer>): void {
  const timer = new Timer(seconds);
  timers.add(timer);
  selector.register(timer, EVENT_READ, () => {
    forget(timer, timers);
    action();
  });
}

function forget(timer: Timer, timers: Set<Timer>): void {
  selector.unregister(timer);
  timers.delete(timer);
  timer.close();
}

function stop(): void {
  const names = signals.read();
  if (names.length === 0 || isStopping) return;
  isStopping = true;
  console.log(`${names.join(" and ")}: ending ${children.size} commands`);
  for (const timer of restarts) forget(timer, restarts);
  signalAll("SIGTERM");
  after(PATIENCE_SECONDS, () => signalAll("SIGKILL"), new Set());
}

function signalAll(signal: Deno.Signal): void {
  for (const child of children.values()) {
    try {
      child.kill(signal);
    } catch (error) {
      if (!(error instanceof TypeError)) throw error; // the child has ended, and its ProcessExit is readable
    }
  }
}
