/**
 * What asyncio does with `selectors`, in miniature: coroutines that wait for descriptors and for time, in one thread.
 *
 * A coroutine is a generator. It yields what it waits for, and the loop goes on with others until that has come, or it is
 * too late. To cancel a task is to end it where it waits, so that its `finally` blocks run; asyncio throws there instead.
 * The program is an echo server that gives up who says or takes nothing for ten seconds, and at Ctrl-C cancels all.
 *
 * ```sh
 * deno run --allow-ffi jsr:@selectors/selectors/examples/tasks 8003 10
 * ```
 *
 * @module
 */

import { DefaultSelector, EVENT_READ, EVENT_WRITE, type FileObject, OSError } from "../mod.ts";
import { createServer, type Socket } from "../ffi/socket/mod.ts";

/** What a coroutine yields, until when it waits and for which file object, if any; it gets the events, 0 if too late. */
type Wait = { untilMs: number; fileobj?: FileObject; events?: number };
type Task = Generator<Wait, void, number>;

const waits = new Map<Task, Wait>(); // of every task
const ready = new Map<Task, number | null>(); // and what those are told for whom it has come; null is the end
const selector = new DefaultSelector<Task>();

const sleep = (seconds: number): Wait => ({ untilMs: performance.now() + seconds * 1000 });
const readable = (fileobj: FileObject, seconds = Infinity) => ({ ...sleep(seconds), fileobj, events: EVENT_READ });
const writable = (fileobj: FileObject, seconds = Infinity) => ({ ...sleep(seconds), fileobj, events: EVENT_WRITE });

function wake(task: Task, outcome: number | null): void {
  if (waits.has(task) && ready.get(task) !== null) ready.set(task, outcome);
}

/** Runs until no task is left. */
async function run(): Promise<void> {
  while (waits.size > 0) {
    let soonest = Infinity;
    for (const { untilMs } of waits.values()) soonest = Math.min(soonest, untilMs); // asyncio has a heap here
    const timeout = (soonest - performance.now()) / 1000;
    for (const [{ data: task }, events] of await selector.selectAsync(timeout)) wake(task, events);
    for (const [task, { untilMs }] of waits) if (untilMs <= performance.now() && !ready.has(task)) wake(task, 0);
    for (const [task, outcome] of ready) { // and who is woken meanwhile
      ready.delete(task);
      step(task, outcome);
    }
  }
}

/** Lets a task, which may be a new one, go on until it waits for something, or ends. */
function step(task: Task, outcome: number | null = 0): void {
  const fileobj = waits.get(task)?.fileobj;
  if (fileobj !== undefined) selector.unregister(fileobj);
  waits.delete(task);
  try {
    const { done, value: wait } = outcome === null ? task.return() : task.next(outcome);
    if (done) return;
    if (wait.fileobj !== undefined) selector.register(wait.fileobj, wait.events!, task);
    waits.set(task, wait);
  } catch (error) {
    task.return(); // if it was the registration that has failed, the task has yet to end
    if (!(error instanceof OSError)) throw error;
    console.log(`A task has failed: ${error.message}`);
  }
}

/** Starts a task for each connection. */
function* acceptLoop(listener: Socket, serve: (socket: Socket) => Task): Task {
  for (;;) {
    yield readable(listener);
    try {
      const socket = listener.tryAccept()?.[0];
      if (socket !== undefined) step(serve(socket));
    } catch (error) {
      if (!(error instanceof OSError)) throw error;
      console.log(error.message);
      yield sleep(1); // there is no descriptor for one more connection
    }
  }
}

function* echo(socket: Socket): Task {
  const buffer = new Uint8Array(64 * 1024);
  try {
    socket.setBlocking(false);
    while (yield readable(socket, Number(patience))) {
      const count = socket.tryRecvInto(buffer);
      if (count === 0) return;
      for (let rest = buffer.subarray(0, count ?? 0); rest.length > 0;) {
        rest = rest.subarray(socket.trySend(rest) ?? 0);
        if (rest.length > 0 && !(yield writable(socket, Number(patience)))) return;
      }
    }
  } finally {
    console.log("A connection ends");
    socket.close();
  }
}

const [port = "8003", patience = "10"] = Deno.args;
const listener = createServer({ hostname: "127.0.0.1", port: Number(port) });
listener.setBlocking(false);
const { port: bound } = listener.getsockname() as { port: number };
console.log(`Listening on port ${bound}; try: nc 127.0.0.1 ${bound}`);
Deno.addSignalListener("SIGINT", () => {
  console.log("Server shutting down");
  for (const task of waits.keys()) wake(task, null);
  selector.wakeup();
});
step(acceptLoop(listener, echo));
await run();
