/**
 * What callers pass, file objects above all, checked before C reads it as something else.
 *
 * @module
 */

/** Something with a descriptor: its number, or an object whose `fileno()` gives it, as in Python. */
export type FileObject = number | {
  /** Gives the number of the descriptor. */
  fileno(): number;
};

/** The greatest number that a C `int` can carry. */
const INT_MAX = 0x7fff_ffff;

/** A descriptor or file object that is not registered, or is so already. */
export class KeyError extends Error {
  /** Makes the error with its sentence. */
  constructor(message: string) {
    super(message);
    this.name = "KeyError";
  }
}

/**
 * Gives the descriptor of a file object, never a number that C would read otherwise.
 *
 * @throws {TypeError} if it is no file object: it has no `fileno()`, or one that gives no integer
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
  const hint = fd === -1 ? "; -1 stands for a closed one" : "";
  throw new RangeError(`Cannot use descriptor ${fd}: it must be from 0 to ${INT_MAX}${hint}`);
}

function callFileno(fileobj: { fileno(): number }): number {
  if (typeof fileobj?.fileno === "function") return fileobj.fileno();
  throw new TypeError(
    `Cannot use ${show(fileobj)} as a file object: it must be an integer or an object with a fileno() method`,
  );
}

/**
 * Gives an integer that a C `int` can carry, and 0 for -0, which Deno's foreign functions refuse.
 *
 * @param value The number
 * @param what What it stands for, for the message
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

/** A short form of any value, for a message. */
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
