/**
 * Runs several commands, restarts the commands that fail, and ends all commands on Ctrl-C.
 *
 * One loop waits for the exits of child processes, for timers and for signals. The data of each registration is the
 * function to call. The wait is asynchronous, because Deno's event loop has to reap the children.
 *
 * ```sh
 * deno run --allow-ffi --allow-run jsr:@selectors/selectors/examples/supervisor "sleep 2; exit 1" "sleep 5"
 * ```
 *
 * @module
 */

import { ProcessExit, type ProcessResult, Signals, Timer } from "@selectors/selectors/sources";
import { DefaultSelector, EVENT_READ } from "@selectors/selectors";

/** Time after which a failed command starts again. */
const RESTART_SECONDS = 1;
/** Time after which a child that ignores SIGTERM is killed. */
const PATIENCE_SECONDS = 5;

if (Deno.args.length === 0) {
  console.error('supervisor: pass one or more shell commands, for example "sleep 2; exit 1" "sleep 5"');
  Deno.exit(1);
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
  if (code === 0 || isStopping) return;
  const timer = after(RESTART_SECONDS, () => {
    restarts.delete(timer);
    start(command);
  });
  restarts.add(timer);
}

/** Calls a function after some seconds. Returns the timer, with which the caller can cancel the call. */
function after(seconds: number, action: () => void): Timer {
  const timer = new Timer(seconds);
  selector.register(timer, EVENT_READ, () => {
    cancel(timer);
    action();
  });
  return timer;
}

function cancel(timer: Timer): void {
  selector.unregister(timer);
  timer.close();
}

function stop(): void {
  const names = signals.read();
  if (names.length === 0 || isStopping) return;
  isStopping = true;
  console.log(`${names.join(" and ")}: ending ${children.size} commands`);
  restarts.forEach(cancel);
  restarts.clear();
  signalAll("SIGTERM");
  after(PATIENCE_SECONDS, () => signalAll("SIGKILL"));
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
