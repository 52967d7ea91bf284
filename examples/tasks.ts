/**
 * Runs coroutines that wait for descriptors and for time, in one thread: asyncio in miniature.
 *
 * A coroutine is a generator. It yields a wait, and the loop runs other tasks until the wait is over. If the wait
 * cannot start, the `yield` throws. If the task is canceled, the coroutine returns at the `yield`, and its `finally`
 * blocks run; in asyncio, the coroutine throws instead. The program is an echo server that closes a connection after
 * ten seconds without progress, and cancels all tasks on Ctrl-C.
 *
 * ```sh
 * deno run --allow-ffi jsr:@selectors/selectors/examples/tasks 8003 10
 * ```
 *
 * @module
 */

import { DefaultSelector, EVENT_READ, EVENT_WRITE, type FileObject, OSError } from "@selectors/selectors";
import { createServer, type Socket } from "@selectors/selectors/socket";

/** A wait until a time, or for a file object until then. The `yield` returns the ready events, or 0 if none. */
type Wait = { untilMs: number; fileobj?: FileObject; events?: number };
type Task = Generator<Wait, void, number>;

const [port = "8003", patience = "10"] = Deno.args;
const waits = new Map<Task, Wait>(); // the current wait of each task that has not ended
const ready = new Map<Task, number | null>(); // tasks whose wait is over, with the ready events; null cancels the task
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
    for (const [task, outcome] of ready) { // also tasks that become ready during this loop
      ready.delete(task);
      step(task, outcome);
    }
  }
}

/** Resumes a task, or starts a new one, until it yields its next wait or ends. */
function step(task: Task, outcome: number | null = 0): void {
  const fileobj = waits.get(task)?.fileobj;
  if (fileobj !== undefined) selector.unregister(fileobj);
  waits.delete(task);
  try {
    suspend(task, outcome === null ? task.return() : task.next(outcome));
  } catch (error) {
    if (!(error instanceof OSError)) throw error;
    console.log(`A task has failed: ${error.message}`);
  }
}

/** Starts the wait that a task has yielded. If it cannot start, the `yield` throws. */
function suspend(task: Task, { done, value: wait }: IteratorResult<Wait, void>): void {
  if (done) return;
  try {
    if (wait.fileobj !== undefined) selector.register(wait.fileobj, wait.events!, task);
  } catch (error) {
    return suspend(task, task.throw(error));
  }
  waits.set(task, wait);
}

/** Starts a task for each connection. */
function* acceptLoop(listener: Socket, serve: (socket: Socket) => Task): Task {
  for (;;) {
    try {
      yield readable(listener);
      const socket = listener.tryAccept()?.[0];
      if (socket !== undefined) step(serve(socket));
    } catch (error) {
      if (!(error instanceof OSError)) throw error;
      console.log(error.message);
      yield sleep(1); // accept() failed, usually with EMFILE: too many files are open
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

const listener = createServer({ hostname: "127.0.0.1", port: Number(port) });
listener.setBlocking(false);
const { port: bound } = listener.getsockname();
console.log(`Listening on port ${bound}; try: nc 127.0.0.1 ${bound}`);
Deno.addSignalListener("SIGINT", () => {
  console.log("Server shutting down");
  for (const task of waits.keys()) wake(task, null);
  selector.wakeup();
});
step(acceptLoop(listener, echo));
await run();
