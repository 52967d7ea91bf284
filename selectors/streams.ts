/**
 * Web Streams over file descriptors: pipes, FIFOs, terminals, serial lines and sockets.
 *
 * {@linkcode toReadableStream} and {@linkcode toWritableStream} have the names and options of `@std/io`, and take a
 * file object: a descriptor, or an object with a `fileno()`. You do not need a selector: a stream waits until the
 * descriptor is ready, without blocking Deno's event loop. All streams of a program, or of a Worker, share one thread.
 *
 * ```ts
 * import {
 *   toReadableStream,
 *   toWritableStream,
 * } from "@selectors/selectors/streams";
 * import { SHUT_WR, socketpair } from "@selectors/selectors/socket";
 *
 * const [here, there] = socketpair();
 * const upperCase = new TransformStream<string, string>({
 *   transform: (text, controller) => controller.enqueue(text.toUpperCase()),
 * });
 * toReadableStream(there)
 *   .pipeThrough(new TextDecoderStream())
 *   .pipeThrough(upperCase)
 *   .pipeThrough(new TextEncoderStream())
 *   .pipeTo(toWritableStream(there));
 *
 * const request = toWritableStream(here, { autoClose: false });
 * await new Blob(["hello"]).stream().pipeTo(request);
 * here.shutdown(SHUT_WR); // the end of the request
 * console.log(await new Response(toReadableStream(here)).text()); // HELLO
 * ```
 *
 * ## Blocking and non-blocking descriptors
 *
 * A stream accepts both kinds, and does not change the flag `O_NONBLOCK` of a descriptor, except during some writes.
 * Another program, such as the shell that started this program, may share the terminal or pipe, and would fail with
 * `EAGAIN` if the flag were set. So a stream avoids blocking in other ways:
 *
 * - Every call on a socket has the flag `MSG_DONTWAIT`. Windows does not have this flag: there, a blocking socket is
 *   read or written only after `select` has reported it ready, and is non-blocking during the write.
 * - Any other file is read only after poll(2), or select(2) on macOS, has reported it readable.
 * - A blocking pipe is written only after poll(2), or select(2) on macOS, has reported it writable. A writable pipe has
 *   room for `PIPE_BUF` bytes (4,096 on Linux, 512 on macOS), so a write has at most this size. For a pipe that is not
 *   shared, `setBlocking(fd, false)` of `@selectors/selectors/socket` allows larger writes.
 * - A blocking terminal is made non-blocking for the few microseconds that each write takes, because no system call
 *   tells how many bytes the terminal can take. If another program waits for room in the same terminal at that moment,
 *   its write fails with `EAGAIN`. So write to the terminal of the shell with `Deno.stdout`, and use a stream for a
 *   terminal of your own.
 *
 * Another process that shares the pipe or terminal can read or write between the check for readiness and the stream's
 * own read or write. The latter then blocks until there are bytes or room again. A call on a non-blocking descriptor
 * never blocks.
 *
 * ## Closing
 *
 * A stream owns its file object: do not use or close the object yourself, unless `autoClose` is false. To end a stream
 * early, call `cancel()` or `abort()`, which also ends a wait at once.
 *
 * A descriptor from `node:fs` must be closed by `node:fs`. Otherwise, the number stays in Deno's table, and Deno later
 * closes whichever file it opens next under that number. Pass an object whose `close()` calls `closeSync()`, or
 * `autoClose: false`:
 *
 * ```ts
 * import { closeSync, openSync } from "node:fs";
 * import { toReadableStream } from "@selectors/selectors/streams";
 *
 * if (Deno.build.os !== "windows") { // Windows can wait for sockets only
 *   const fd = openSync("/dev/null", "r");
 *   const file = { fileno: () => fd, close: () => closeSync(fd) };
 *   const stream = toReadableStream(file);
 *   console.log((await Array.fromAsync(stream)).length); // 0
 * }
 * ```
 *
 * A readable and a writable stream of the same file object own it together, and the last stream to end closes it. If
 * the writable stream of a socket is closed first, the peer reads the end of the stream.
 *
 * @module
 */

import { byteLengthOf, checkBytes, filenoOf, numberError, show } from "../ffi/os/arguments.ts";
import { Channel } from "../ffi/os/channel.ts";
import { check, EAGAIN, EBADF, EINTR, EIO, OSError } from "../ffi/os/errno.ts";
import { EVENT_READ, EVENT_WRITE } from "../ffi/os/events.ts";
import { isTurnOver, nextTurn } from "./waits/turns.ts";
import { waitFor } from "./waits/wait_for.ts";

export { OSError };

/** A file descriptor, or an object whose `fileno()` returns one, with a `close()` method if it can be closed. */
export type ClosableFileObject = number | {
  /** Returns the file descriptor. */
  fileno(): number;
  /** Closes the file descriptor. */
  close?(): void;
};

/** Options of {@linkcode toReadableStream}. */
export interface ToReadableStreamOptions {
  /**
   * Closes the file object when the end is reached, the stream is canceled, or a read fails. An object is closed by its
   * `close()`, if it has one.
   *
   * @default {true}
   */
  autoClose?: boolean;
  /**
   * Maximum size of a chunk in bytes, from 1 to `2^31-1`; one system call does not read more. A read into a buffer of
   * the caller (BYOB) is limited by the size of that buffer instead.
   *
   * @default {65536}
   */
  chunkSize?: number;
  /**
   * Queuing strategy. `highWaterMark` is the number of bytes to read ahead; any number above 0 reads at least one chunk
   * ahead. With 0, bytes stay in the file until a reader asks for them.
   *
   * @default {{ highWaterMark: 0 }}
   */
  strategy?: QueuingStrategy<Uint8Array>;
}

/** Options of {@linkcode toWritableStream}. */
export interface ToWritableStreamOptions {
  /**
   * Closes the file object when the stream is closed or aborted, or a write fails. An object is closed by its
   * `close()`, if it has one.
   *
   * @default {true}
   */
  autoClose?: boolean;
}

/** Measured with `deno task streams`: smaller chunks reduce the throughput, and larger chunks do not increase it. */
const DEFAULT_CHUNK_SIZE = 64 * 1024;

/** Maximum value of a C `int`: the most that one system call reads. */
const MAX_CHUNK_SIZE = 0x7fff_ffff;

/**
 * Returns a stream of the bytes that are read from a file object.
 *
 * The stream is a byte stream, so it also supports BYOB readers. By default, it reads from the file only when a reader
 * asks for bytes. It ends at the end of the file. The stream of a pseudoterminal's master ends when the last slave is
 * closed. If the peer resets the connection, the stream fails.
 *
 * While the stream waits for bytes, it keeps the program alive; `cancel()` ends the wait. If every read finds bytes,
 * Deno's event loop still runs about once per millisecond.
 *
 * A socket should be of type `SOCK_STREAM`: an empty datagram would end the stream, and a long datagram would be
 * truncated.
 *
 * @param fileobj A descriptor, or an object with a `fileno()`; on Windows a socket
 * @param options `autoClose` (defaults to true), `chunkSize` (defaults to 65,536 bytes), and `strategy` (defaults to
 * not reading ahead)
 * @returns A byte stream, which fails with an OSError if a read fails
 * @throws {TypeError} if `fileobj` is not a file object
 * @throws {RangeError} if the descriptor is negative or above `2^31-1`, `chunkSize` is not from 1 to `2^31-1`, or
 * `strategy` has a `size` and is not a `ByteLengthQueuingStrategy`
 * @throws {OSError} EBADF if the descriptor is closed
 * @throws {Deno.errors.NotCapable} without `--allow-ffi`
 *
 * @example Text of a connection
 * ```ts
 * import { toReadableStream } from "@selectors/selectors/streams";
 * import { socketpair } from "@selectors/selectors/socket";
 * import { assertEquals } from "@std/assert";
 *
 * const [here, there] = socketpair();
 * there.send(new TextEncoder().encode("hello"));
 * there.close();
 * const texts = toReadableStream(here)
 *   .pipeThrough(new TextDecoderStream());
 * assertEquals(await Array.fromAsync(texts), ["hello"]);
 * ```
 *
 * @example Timeout for the first bytes
 * ```ts
 * import { toReadableStream } from "@selectors/selectors/streams";
 * import { socketpair } from "@selectors/selectors/socket";
 * import { assertEquals } from "@std/assert";
 *
 * const [here, there] = socketpair();
 * const reader = toReadableStream(here).getReader();
 * const timer = setTimeout(() => reader.cancel(), 10); // closes `here`
 * const { done } = await reader.read();
 * clearTimeout(timer);
 * assertEquals([done, here.fileno()], [true, -1]);
 * there.close();
 * ```
 */
export function toReadableStream(
  fileobj: ClosableFileObject,
  options: ToReadableStreamOptions = {},
): ReadableStream<Uint8Array<ArrayBuffer>> {
  const { autoClose = true, chunkSize = DEFAULT_CHUNK_SIZE, strategy } = options;
  if (!Number.isInteger(chunkSize) || chunkSize < 1 || chunkSize > MAX_CHUNK_SIZE) {
    throw numberError(
      chunkSize,
      `Cannot use ${show(chunkSize)} as chunkSize: it must be an integer from 1 to ${MAX_CHUNK_SIZE}`,
    );
  }
  // A byte stream rejects a strategy with a size, even one that counts bytes as the stream does.
  const bytes = strategy instanceof ByteLengthQueuingStrategy ? { highWaterMark: strategy.highWaterMark } : strategy;
  return new ReadableStream(new Source(fileobj, autoClose, chunkSize), bytes as { highWaterMark?: number });
}

/**
 * Returns a stream whose chunks are written to a file object.
 *
 * A write ends when the whole chunk is written, so `ready` and `desiredSize` show how fast the peer reads. `close()`
 * waits until all chunks are written. `abort()` ends a write that waits, and discards the other chunks.
 *
 * A chunk must not change before its write ends. If its buffer is detached or shrunk during the write, the write fails
 * with a TypeError.
 *
 * @param fileobj A descriptor, or an object with a `fileno()`; on Windows a socket
 * @param options `autoClose` (defaults to true)
 * @returns A stream that fails with an OSError if a write fails, for example with `EPIPE` or `ECONNRESET` after the
 * peer has closed the connection, and with a TypeError if a chunk is not a Uint8Array
 * @throws {TypeError} if `fileobj` is not a file object
 * @throws {RangeError} if the descriptor is negative or above `2^31-1`
 * @throws {OSError} EBADF if the descriptor is closed
 * @throws {Deno.errors.NotCapable} without `--allow-ffi`
 *
 * @example Usage
 * ```ts
 * import {
 *   toReadableStream,
 *   toWritableStream,
 * } from "@selectors/selectors/streams";
 * import { socketpair } from "@selectors/selectors/socket";
 * import { assertEquals } from "@std/assert";
 *
 * const [here, there] = socketpair();
 * const long = new Blob(["x".repeat(1_000_000)]);
 * const sent = long.stream().pipeTo(toWritableStream(here));
 * const received = await new Response(toReadableStream(there)).text();
 * await sent;
 * assertEquals(received.length, 1_000_000);
 * ```
 */
export function toWritableStream(
  fileobj: ClosableFileObject,
  options: ToWritableStreamOptions = {},
): WritableStream<Uint8Array> {
  const { autoClose = true } = options;
  return new WritableStream(new Sink(fileobj, autoClose));
}

/** A buffer for reads. A chunk smaller than half of the buffer is copied, so that it does not keep the buffer alive. */
class ReadBuffer {
  readonly #size: number;
  #bytes: Uint8Array<ArrayBuffer> | undefined;

  constructor(size: number) {
    this.#size = size;
  }

  /** The whole buffer, created on first use. */
  get bytes(): Uint8Array<ArrayBuffer> {
    return this.#bytes ??= new Uint8Array(this.#size);
  }

  /** Returns the first `count` bytes as an array that later reads do not overwrite. */
  take(count: number): Uint8Array<ArrayBuffer> {
    const { bytes } = this;
    if (count < this.#size / 2) return bytes.slice(0, count);
    this.#bytes = undefined;
    // The buffer of this chunk does not expose bytes of earlier reads, perhaps of other streams: these were shorter
    // than half of the buffer, and this read has overwritten them.
    return bytes.subarray(0, count);
  }
}

/** Shared by all streams with the default chunk size, so that a waiting stream does not need a buffer of its own. */
const sharedBuffer = new ReadBuffer(DEFAULT_CHUNK_SIZE);

/** Reads a file into a byte stream. */
class Source implements UnderlyingByteSource {
  readonly type = "bytes";
  readonly #fileobj: ClosableFileObject;
  readonly #autoClose: boolean;
  readonly #buffer: ReadBuffer;
  readonly #canceled = new AbortController();
  #file!: StreamedFile;

  constructor(fileobj: ClosableFileObject, autoClose: boolean, chunkSize: number) {
    this.#fileobj = fileobj;
    this.#autoClose = autoClose;
    this.#buffer = chunkSize === DEFAULT_CHUNK_SIZE ? sharedBuffer : new ReadBuffer(chunkSize);
  }

  /** Takes the file; called by the stream's constructor after it has checked the strategy. */
  start(): void {
    this.#file = new StreamedFile(this.#fileobj, EVENT_READ, this.#autoClose);
  }

  async pull(controller: ReadableByteStreamController): Promise<void> {
    const { signal } = this.#canceled;
    try {
      if (isTurnOver()) await nextTurn();
      while (!signal.aborted && !this.#take(controller)) await this.#file.wait(signal);
    } catch (error) {
      if (signal.aborted) return;
      this.#file.abandon();
      throw error;
    }
  }

  /** Reads once, and passes the bytes on; returns false if there are no bytes yet. */
  #take(controller: ReadableByteStreamController): boolean {
    this.#file.checkOpen("read"); // first, because the caller's fileno() may read other streams
    const request = controller.byobRequest; // after each wait, because it may change during a wait
    const count = this.#file.read(request === null ? this.#buffer.bytes : request.view as Uint8Array);
    if (count === -EAGAIN) return false;
    if (count === 0) {
      this.#file.release();
      controller.close();
    } else if (request === null) {
      controller.enqueue(this.#buffer.take(count));
      return true;
    }
    request?.respond(count);
    return true;
  }

  cancel(): void {
    this.#canceled.abort();
    this.#file.release();
  }
}

/** Writes the chunks of a stream to a file. */
class Sink implements UnderlyingSink<Uint8Array> {
  readonly #file: StreamedFile;

  constructor(fileobj: ClosableFileObject, autoClose: boolean) {
    this.#file = new StreamedFile(fileobj, EVENT_WRITE, autoClose);
  }

  async write(chunk: Uint8Array, controller: WritableStreamDefaultController): Promise<void> {
    try {
      await this.#writeAll(chunk, controller.signal);
    } catch (error) {
      this.#file.abandon();
      throw error;
    }
  }

  async #writeAll(chunk: Uint8Array, signal: AbortSignal): Promise<void> {
    const size = byteLengthOf(checkBytes(chunk));
    for (let written = 0; written < size;) {
      if (isTurnOver()) await nextTurn();
      signal.throwIfAborted();
      this.#file.checkOpen("write"); // first, because the caller's fileno() may detach the chunk
      if (byteLengthOf(chunk) < size) {
        throw new TypeError("Cannot write the rest of the Uint8Array: its buffer is detached or was shrunk");
      }
      const count = this.#file.write(chunk, written);
      if (count === -EAGAIN) await this.#file.wait(signal);
      else written += count;
    }
  }

  close(): void {
    this.#file.release();
  }

  abort(): void {
    this.#file.release();
  }
}

// Number of streams that will close a file object.
const ownersOfObjects = new WeakMap<object, number>();
const ownersOfNumbers = new Map<number, number>();

/** Adds `change` to the number of streams that will close a file object; returns the new number. */
function countOwners(fileobj: ClosableFileObject, change: 1 | -1): number {
  const owners = (typeof fileobj === "number" ? ownersOfNumbers : ownersOfObjects) as Map<ClosableFileObject, number>;
  const count = (owners.get(fileobj) ?? 0) + change;
  if (count === 0) owners.delete(fileobj);
  else owners.set(fileobj, count);
  return count;
}

/** A file object as one stream uses it: in one direction, and until the stream ends. */
class StreamedFile {
  readonly #fileobj: ClosableFileObject;
  readonly #fd: number;
  readonly #events: typeof EVENT_READ | typeof EVENT_WRITE;
  readonly #channel: Channel;
  #isOwner: boolean;

  constructor(fileobj: ClosableFileObject, events: typeof EVENT_READ | typeof EVENT_WRITE, isOwner: boolean) {
    this.#fileobj = fileobj;
    this.#fd = filenoOf(fileobj);
    this.#events = events;
    this.#channel = new Channel(this.#fd, events);
    if (!this.#channel.isOpen) throw new OSError("getsockopt", EBADF, `fd ${this.#fd}`);
    this.#isOwner = isOwner;
    if (isOwner) countOwners(fileobj, 1);
  }

  /** Throws EBADF if the object was closed or detached, because its descriptor may belong to another file now. */
  checkOpen(syscall: string): void {
    if (typeof this.#fileobj === "number" || this.#fileobj.fileno() === this.#fd) return;
    throw new OSError(syscall, EBADF, `fd ${this.#fd}`);
  }

  /** Reads bytes; returns their number, 0 at the end of the file, or `-EAGAIN`. */
  read(bytes: Uint8Array): number {
    let count;
    do count = this.#channel.read(bytes); while (count === -EINTR);
    if (count === -EIO && this.#channel.isPtyMaster) return 0;
    return count === -EAGAIN ? count : check(count, "read", this.#fd);
  }

  /** Writes the bytes from `offset` on, or some of them; returns their number, or `-EAGAIN`. */
  write(bytes: Uint8Array, offset: number): number {
    let count;
    do count = this.#channel.write(bytes, offset); while (count === -EINTR);
    return count === -EAGAIN ? count : check(count, "write", this.#fd);
  }

  /** Waits until the file is ready; rejects if the signal is aborted. */
  async wait(signal: AbortSignal): Promise<void> {
    await waitFor(this.#fd, this.#events, undefined, { signal });
  }

  /** Ends the use of the file: the last stream that owns it closes it. A second call has no effect. */
  release(): void {
    if (!this.#isOwner) return;
    this.#isOwner = false;
    if (countOwners(this.#fileobj, -1) > 0) {
      if (this.#events === EVENT_WRITE) this.#channel.endWriting();
    } else if (typeof this.#fileobj === "number") {
      check(this.#channel.close(), "close", this.#fd);
    } else {
      this.#fileobj.close?.();
    }
  }

  /** Releases the file after an error, and ignores an error of close(). */
  abandon(): void {
    try {
      this.release();
    } catch {
      // Safe to ignore: close() frees a descriptor even if it fails.
    }
  }
}
