/**
 * What asyncio does with `selectors`, in miniature: coroutines that wait for descriptors and for time, in one thread.
 *
 * A coroutine is a generator. It yields what it waits for, and the loop goes on with others until that has come. To
 * cancel a task is to throw at the place where it waits, as in asyncio, so that its `finally` blocks run. The program,
 * at the end, is an echo server that cancels who says nothing for ten seconds.
 *
 * ```sh
 * deno run --allow-ffi jsr:@selectors/selectors/examples/tasks 8003 10
 * ```
 *
 * @module
 */

import { DefaultSelector, EVENT_READ, EVENT_WRITE, type FileObject, OSError } from "../mod.ts";
import { createServer, type Socket } from "../ffi/socket.ts";

/** What a coroutine yields: an event of a file object, or a time, to wait for. */
type Wait = { fileobj: FileObject; event: number } | { until: number };
type Coroutine = Generator<Wait, void, void>;

const readable = (fileobj: FileObject): Wait => ({ fileobj, event: EVENT_READ });
const writable = (fileobj: FileObject): Wait => ({ fileobj, event: EVENT_WRITE });
const sleep = (seconds: number): Wait => ({ until: performance.now() + seconds * 1000 });

class Cancelled extends Error {}

let current: Task;
const ready = new Set<Task>();
const sleeping = new Map<Task, number>(); // asyncio has a heap here
const selector = new DefaultSelector<Task>(); // and here a task to read and one to write, where we have one

class Task {
  readonly #coroutine: Coroutine;
  #wait: Wait | null = null;
  #isCancelled = false;

  constructor(coroutine: Coroutine) {
    this.#coroutine = coroutine;
    ready.add(this);
  }

  /** Goes on with the coroutine until it waits for something else, or ends. */
  step(): void {
    const isCancelled = this.#isCancelled;
    this.#isCancelled = false;
    current = this;
    try {
      const { done, value } = isCancelled ? this.#coroutine.throw(new Cancelled()) : this.#coroutine.next();
      if (done) return;
      if ("until" in value) sleeping.set(this, value.until);
      else selector.register(value.fileobj, value.event, this);
      this.#wait = value;
      if (this.#isCancelled) this.wake(); // by itself, before it waited
    } catch (error) {
      if (error instanceof OSError) console.log(`A task has failed: ${error.message}`);
      else if (!(error instanceof Cancelled)) throw error;
    }
  }

  /** Ends the wait: the coroutine goes on in the next round. */
  wake(): void {
    if (this.#wait === null) return; // it has been woken already, or has ended
    if ("until" in this.#wait) sleeping.delete(this);
    else selector.unregister(this.#wait.fileobj);
    this.#wait = null;
    ready.add(this);
  }

  cancel(): void {
    this.#isCancelled = true;
    this.wake();
  }
}

/** Runs until no task is left. */
function run(): void {
  while (ready.size + sleeping.size + selector.getMap()!.size > 0) {
    const soonest = Math.min(...sleeping.values());
    const timeout = ready.size > 0 ? 0 : (soonest - performance.now()) / 1000;
    for (const [{ data: task }] of selector.select(timeout)) task.wake();
    for (const [task, until] of sleeping) if (until <= performance.now()) task.wake();
    const tasks = [...ready];
    ready.clear();
    for (const task of tasks) task.step();
  }
}

/** Waits, and cancels the task that does if it takes too long, as `asyncio.timeout` does. */
function* within(seconds: number, wait: Wait): Coroutine {
  const waiter = current;
  const watchdog = new Task(function* () {
    yield sleep(seconds);
    waiter.cancel();
  }());
  try {
    yield wait;
  } finally {
    watchdog.cancel();
  }
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
      yield* within(Number(patience), readable(socket));
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
const listener = createServer({ hostname: "127.0.0.1", port: Number(port) });
listener.setBlocking(false);
const { port: bound } = listener.getsockname() as { port: number };
console.log(`Listening on port ${bound}; try: nc 127.0.0.1 ${bound}`);
new Task(acceptLoop(listener, echo));
run();
