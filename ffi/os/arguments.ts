/**
 * Checks of arguments: file objects, numbers, and arrays that callers hand to C.
 *
 * An invalid number would reach C as a different number. A length that is too large would make C overwrite other
 * memory. A subclass of Uint8Array, or a property of one array, can redefine `byteLength`, `buffer` or `subarray`. So
 * the functions here use JavaScript's own getters, captured at load time.
 *
 * @module
 */

/**
 * A file descriptor, or an object with a `fileno()` method that returns one, as in Python.
 *
 * A file descriptor is the number by which the operating system knows an open file, such as a socket or a pipe. 0 is
 * standard input.
 */
export type FileObject = number | {
  /** Returns the file descriptor. */
  fileno(): number;
};

/** Largest value of a C `int`. */
const INT_MAX = 0x7fff_ffff;

/** Error for a file object that is not registered, or is registered already. */
export class KeyError extends Error {
  /**
   * Creates the error, as the methods of selectors do.
   *
   * @param message Text of the error
   */
  constructor(message: string) {
    super(message);
    this.name = "KeyError";
  }
}

/**
 * Returns the descriptor of a file object, as an integer that fits into a C `int`.
 *
 * @throws {TypeError} if it is not a file object: it has no `fileno()`, or `fileno()` does not return an integer
 * @throws {RangeError} if the descriptor is negative or above `2^31-1`
 */
export function filenoOf(fileobj: FileObject): number {
  const fd = typeof fileobj === "number" ? fileobj : callFileno(fileobj);
  const int = typeof fd === "number" ? fd | 0 : -1; // -0 becomes 0
  if (int === fd && int >= 0) return int;
  if (!Number.isInteger(fd)) {
    throw new TypeError(
      `Cannot use ${show(fileobj)} as a file object: its descriptor must be an integer, not ${show(fd)}`,
    );
  }
  const hint = fd === -1 ? "; -1 means that the file object is closed" : "";
  throw new RangeError(`Cannot use descriptor ${fd}: it must be from 0 to ${INT_MAX}${hint}`);
}

function callFileno(fileobj: { fileno(): number }): number {
  if (typeof fileobj?.fileno === "function") return fileobj.fileno();
  const replacement = replacementOf(fileobj);
  const hint = replacement === undefined
    ? "it must be an integer or an object with a fileno() method"
    : `it has no fileno() method; use ${replacement}`;
  throw new TypeError(`Cannot use ${show(fileobj)} as a file object: ${hint}`);
}

const SOCKET = "Socket or createServer() from @selectors/selectors/socket";
const PIPE = "pipe() from @selectors/selectors/socket as stdio of node:child_process";

/** Replacements for objects of Deno and Node that do not expose their descriptors, by class name. */
const REPLACEMENTS: Readonly<Record<string, string>> = {
  Stdin: "0, the descriptor of standard input",
  Stdout: "1, the descriptor of standard output",
  Stderr: "2, the descriptor of standard error",
  Conn: SOCKET,
  Listener: SOCKET,
  TlsListener: SOCKET,
  DatagramConn: SOCKET,
  FsFile: "openSync() from node:fs, which returns a descriptor",
  // node:net, node:dgram, and the standard streams of a node:child_process.
  Socket: `${SOCKET}, or ${PIPE}`,
  Server: SOCKET,
  // Deno.Command, node:child_process, and the standard streams of a Deno.ChildProcess.
  ChildProcess: PIPE,
  ReadableStream: PIPE,
  WritableStream: PIPE,
};

/** Returns the text that says what to use instead of an object of Deno or Node; undefined for any other value. */
function replacementOf(value: unknown): string | undefined {
  if (typeof value !== "object" || value === null) return undefined;
  try {
    // Reads property descriptors, because a getter could throw.
    const valueOf = (object: object, name: string) => Object.getOwnPropertyDescriptor(object, name)?.value;
    for (let object: object | null = value; object !== null; object = Object.getPrototypeOf(object)) {
      const name = valueOf(object, "constructor")?.name;
      if (typeof name === "string" && Object.hasOwn(REPLACEMENTS, name)) return REPLACEMENTS[name];
      // A FileHandle of node:fs, and the standard streams of node:process.
      if (Object.getOwnPropertyDescriptor(object, "fd") !== undefined) return "its fd property";
    }
  } catch {
    // The value is a Proxy that throws, not an object of Deno or Node.
  }
  return undefined;
}

/**
 * Returns a number that fits into a C `int`; returns 0 for -0, which Deno's foreign functions reject.
 *
 * @param value The number
 * @param what Name of the argument, for the message
 * @throws {RangeError} if it is a number, but not an integer from `-2^31` to `2^31-1`
 * @throws {TypeError} if it is not a number
 */
export function checkInt(value: number, what: string): number {
  const int = typeof value === "number" ? value | 0 : NaN;
  if (int === value) return int;
  throw numberError(value, `Cannot use ${show(value)} as ${what}: it must be a signed 32-bit integer`);
}

/**
 * Returns a number of bytes that fits into a C `int`.
 *
 * @throws {RangeError} if it is a number, but not an integer from 0 to `2^31-1`
 * @throws {TypeError} if it is not a number
 */
export function checkSize(size: number): number {
  if (Number.isInteger(size) && size >= 0 && size <= INT_MAX) return size;
  throw numberError(size, `Cannot use ${show(size)} as a size: it must be an integer from 0 to ${INT_MAX}`);
}

/** Returns the error for an invalid numeric argument: a RangeError for a number, a TypeError for any other value. */
export function numberError(value: unknown, message: string): RangeError | TypeError {
  return typeof value === "number" ? new RangeError(message) : new TypeError(message);
}

/** Returns a short form of any value, for an error message. */
export function show(value: unknown): string {
  switch (typeof value) {
    case "string":
      return JSON.stringify(value);
    case "bigint":
      return `${value}n`;
    case "object":
      return value === null ? "null" : `[object ${value.constructor?.name ?? "Object"}]`;
    case "function":
      return `[function ${value.name}]`;
    default:
      return Object.is(value, -0) ? "-0" : String(value);
  }
}

/** Returns one of JavaScript's own getters as a function of the object that it reads. */
function getterOf<T>(prototype: object, name: PropertyKey): (object: unknown) => T {
  return Function.prototype.call.bind(Object.getOwnPropertyDescriptor(prototype, name)!.get!);
}

const TypedArrayPrototype: object = Object.getPrototypeOf(Uint8Array.prototype);
/** Returns the name of a typed array's built-in class; undefined for any other object, even for a Proxy of an array. */
const classNameOf = getterOf<string | undefined>(TypedArrayPrototype, Symbol.toStringTag);
const bufferOf = getterOf<ArrayBufferLike>(TypedArrayPrototype, "buffer");
const byteOffsetOf = getterOf<number>(TypedArrayPrototype, "byteOffset");
const isDetached = getterOf<boolean>(ArrayBuffer.prototype, "detached");
const isResizable = getterOf<boolean>(ArrayBuffer.prototype, "resizable");

/** Returns the number of bytes that C may read or write in an array. */
export const byteLengthOf: (bytes: Uint8Array) => number = getterOf(TypedArrayPrototype, "byteLength");

/** Returns a view of the rest of an array; `subarray()` would use the array's own class. */
export function restOf(bytes: Uint8Array, offset: number): Uint8Array {
  return partOf(bytes, offset, byteLengthOf(bytes) - offset);
}

/** Returns a view of `size` bytes of an array. */
export function partOf(bytes: Uint8Array, offset: number, size: number): Uint8Array {
  return new Uint8Array(bufferOf(bytes), byteOffsetOf(bytes) + offset, size);
}

/**
 * Rejects a value that is not a Uint8Array, and an array whose buffer was detached or shrunk.
 *
 * C would see such an array as an empty one, and a `recv` of 0 bytes means the end of the stream.
 *
 * @throws {TypeError} if the value is not a Uint8Array, or its buffer is detached or was shrunk
 */
export function checkBytes(bytes: Uint8Array): Uint8Array {
  if (classNameOf(bytes) !== "Uint8Array") throw new TypeError(`Cannot use ${show(bytes)} as bytes: use a Uint8Array`);
  if (byteLengthOf(bytes) === 0 && hasLostBytes(bufferOf(bytes))) {
    throw new TypeError("Cannot use the Uint8Array: its buffer is detached or was shrunk; use a new array");
  }
  return bytes;
}

function hasLostBytes(buffer: ArrayBufferLike): boolean {
  try {
    return isDetached(buffer) || isResizable(buffer);
  } catch {
    return false; // these getters throw for a SharedArrayBuffer, which can be neither detached nor shrunk
  }
}
