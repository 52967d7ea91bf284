/**
 * Checks of arguments, file objects above all: C would read an invalid number as another one.
 *
 * @module
 */

/** A file descriptor, or an object with a `fileno()` method that returns one, as in Python. */
export type FileObject = number | {
  /** Returns the file descriptor. */
  fileno(): number;
};

/** Largest value of a C `int`. */
const INT_MAX = 0x7fff_ffff;

/** Error for a file object that is not registered, or is registered already. */
export class KeyError extends Error {
  /** Creates the error. */
  constructor(message: string) {
    super(message);
    this.name = "KeyError";
  }
}

/**
 * Returns the descriptor of a file object: a number that C does not truncate.
 *
 * @throws {TypeError} if it is not a file object: it has no `fileno()`, or `fileno()` does not return an integer
 * @throws {RangeError} if the descriptor is negative or above 2^31-1
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
  const hint = fd === -1 ? "; -1 means that it is closed" : "";
  throw new RangeError(`Cannot use descriptor ${fd}: it must be from 0 to ${INT_MAX}${hint}`);
}

function callFileno(fileobj: { fileno(): number }): number {
  if (typeof fileobj?.fileno === "function") return fileobj.fileno();
  throw new TypeError(
    `Cannot use ${show(fileobj)} as a file object: it must be an integer or an object with a fileno() method`,
  );
}

/**
 * Returns an integer that fits into a C `int`; 0 for -0, which Deno's foreign functions reject.
 *
 * @param value The number
 * @param what Name of the argument, for the message
 * @throws {RangeError} if it is a number, but not an integer from -2^31 to 2^31-1
 * @throws {TypeError} if it is not a number
 */
export function checkInt(value: number, what: string): number {
  const int = typeof value === "number" ? value | 0 : NaN;
  if (int === value) return int;
  throw numberError(value, `Cannot use ${show(value)} as ${what}: it must be an integer of 32 bits`);
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
