/**
 * What asyncio does with `selectors`, in miniature: coroutines that wait for descriptors and for time, in one thread.
 *
 * A coroutine is a generator. It yields what it waits for, and the loop goes on with others until that has come. To
 * cancel a task is to throw at the place where it waits, as in asyncio, so that its `finally` blocks run. The program,
 * at the end, is an echo server that cancels who says nothing for ten seconds, and at Ctrl-C all.
 *
 * ```sh
 * deno run --allow-ffi jsr:@selectors/selectors/examples/tasks 8003 10
 * ```
 *
 * @module
 */

import { DefaultSelector, EVENT_READ, EVENT_WRITE, type FileObject, OSError } from "../mod.ts";
import { createServer, type Socket } from "../ffi/socket.ts";

/** What a coroutine yields: how a task begins to wait, which gives how it ends to. */
type Wait = (task: Task) => () => unknown;
type Coroutine = Generator<Wait, void, void>;

const tasks = new Set<Task>();
const ready = new Set<Task>();
const sleeping = new Map<Task, number>(); // asyncio has a heap here
using selector = new DefaultSelector<Task>(); // and here a task to read and one to write, where we have one

function readable(fileobj: FileObject, event: number = EVENT_READ): Wait {
  return (task) => {
    selector.register(fileobj, event, task);
    return () => selector.unregister(fileobj);
  };
}

const writable = (fileobj: FileObject) => readable(fileobj, EVENT_WRITE);

function sleep(seconds: number): Wait {
  return (task) => {
    sleeping.set(task, performance.now() + seconds * 1000);
    return () => sleeping.delete(task);
  };
}

class Cancelled extends Error {}

class Task {
  readonly #coroutine: Coroutine;
  #endWait: () => unknown = () => {};
  #isCancelled = false;

  constructor(coroutine: Coroutine) {
    this.#coroutine = coroutine;
    tasks.add(this);
    ready.add(this);
  }

  cancel(): void {
    this.#isCancelled = true;
    ready.add(this);
  }

  /** Goes on with the coroutine until it waits for something else, or ends. */
  step(): void {
    this.#endWait();
    this.#endWait = () => {};
    const isCancelled = this.#isCancelled;
    this.#isCancelled = false;
    try {
      const { done, value } = isCancelled ? this.#coroutine.throw(new Cancelled()) : this.#coroutine.next();
      if (!done) return void (this.#endWait = value(this));
    } catch (error) {
      if (error instanceof OSError) console.log(`A task has failed: ${error.message}`);
      else if (!(error instanceof Cancelled)) throw error;
    }
    tasks.delete(this);
  }
}

/** Runs until no task is left. */
async function run(): Promise<void> {
  for (;;) {
    for (const task of ready) { // and those that get ready meanwhile
      ready.delete(task);
      task.step();
    }
    if (tasks.size === 0) return;
    const soonest = Math.min(...sleeping.values());
    for (const [{ data: task }] of await selector.selectAsync((soonest - performance.now()) / 1000)) ready.add(task);
    for (const [task, until] of sleeping) if (until <= performance.now()) ready.add(task);
  }
}

/** Cancels the task that waits if it takes too long, as `asyncio.timeout` does. */
function within(seconds: number, wait: Wait): Wait {
  return (task) => {
    const endWait = wait(task);
    const watchdog = new Task(function* () {
      yield sleep(seconds);
      task.cancel();
    }());
    return () => {
      watchdog.cancel();
      endWait();
    };
  };
}

/** Starts a task for each connection. */
function* acceptLoop(listener: Socket, serve: (socket: Socket) => Coroutine): Coroutine {
  for (;;) {
    yield readable(listener);
    try {
      const socket = listener.tryAccept()?.[0];
      if (socket !== undefined) new Task(serve(socket));
    } catch (error) {
      if (!(error instanceof OSError)) throw error;
      console.log(error.message);
      yield sleep(1); // there is no descriptor for one more connection
    }
  }
}

function* echo(socket: Socket): Coroutine {
  const buffer = new Uint8Array(64 * 1024);
  try {
    socket.setBlocking(false);
    for (;;) {
      yield within(Number(patience), readable(socket));
      const count = socket.tryRecvInto(buffer);
      if (count === 0) return;
      for (let rest = buffer.subarray(0, count ?? 0); rest.length > 0;) {
        rest = rest.subarray(socket.trySend(rest) ?? 0);
        if (rest.length > 0) yield writable(socket);
      }
    }
  } finally {
    console.log("A connection ends");
    socket.close();
  }
}

const [port = "8003", patience = "10"] = Deno.args;
using listener = createServer({ hostname: "127.0.0.1", port: Number(port) });
listener.setBlocking(false);
const { port: bound } = listener.getsockname() as { port: number };
console.log(`Listening on port ${bound}; try: nc 127.0.0.1 ${bound}`);
Deno.addSignalListener("SIGINT", () => {
  console.log("Server shutting down");
  for (const task of tasks) task.cancel();
  selector.wakeup();
});
new Task(acceptLoop(listener, echo));
await run();
