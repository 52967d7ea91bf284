/**
 * Python's `select.kevent`, and its conversion to and from a `struct kevent`.
 *
 * @module
 */

import { filenoOf, type FileObject, numberError, show } from "../os/arguments.ts";
import { isWide, readKevent, writeKevent } from "../os/kevent.ts";
import type { KeventLayout } from "../os/kqueue_system.ts";
import { system } from "../os/systems.ts";
import { KQ_EV_ADD, KQ_FILTER_READ } from "./kqueue_constants.ts";

/**
 * Python's `select.kevent`: a change to the registered events, or an event that kqueue reports.
 *
 * A field is a BigInt if its value is not a safe integer. The object is immutable.
 *
 * @see {@link https://docs.python.org/3/library/select.html#kevent-objects | Python's select.kevent}
 */
export class Kevent {
  /** Identifier of the event source: for most filters, a descriptor. */
  readonly ident: number | bigint;
  /** Kind of event: KQ_FILTER_*. */
  readonly filter: number;
  /** Actions of a change, or results in a reported event: KQ_EV_*. */
  readonly flags: number;
  /** Flags whose meaning depends on the filter: KQ_NOTE_*. */
  readonly fflags: number;
  /** Number whose meaning depends on the filter. */
  readonly data: number | bigint;
  /** Number that kqueue returns unchanged with each event; the program decides what it means. */
  readonly udata: number | bigint;

  /**
   * Creates an event.
   *
   * @param ident A descriptor or file object, or another identifier that the filter expects, such as a process ID
   * @param filter One of the KQ_FILTER_* numbers; defaults to KQ_FILTER_READ
   * @param flags A combination of KQ_EV_* flags; defaults to KQ_EV_ADD
   * @param fflags A combination of KQ_NOTE_* flags; defaults to 0
   * @param data A number whose meaning depends on the filter; defaults to 0
   * @param udata A number that kqueue returns unchanged with each event; defaults to 0
   * @throws {RangeError} if a number is not an integer that fits into its field
   * @throws {TypeError} if `ident` is neither a number nor a file object, or another argument is not a number
   */
  constructor(
    ident: FileObject | bigint,
    filter: number = KQ_FILTER_READ,
    flags: number = KQ_EV_ADD,
    fflags: number = 0,
    data: number | bigint = 0,
    udata: number | bigint = 0,
  ) {
    this.ident = typeof ident === "object" ? filenoOf(ident) : integerOf(ident, "ident", 0n, 2n ** 64n);
    const [lowest, end, flagsEnd] = isWide(system.kqueue.kevent)
      ? [0n, 2n ** 32n, 2n ** 32n]
      : [-0x8000n, 0x8000n, 0x1_0000n];
    this.filter = integerOf(filter, "filter", lowest, end);
    this.flags = integerOf(flags, "flags", 0n, flagsEnd);
    // `KQ_NOTE_EXIT | KQ_NOTE_FORK` is negative in JavaScript, so signed and unsigned flags are both valid.
    this.fflags = integerOf(fflags, "fflags", -(2n ** 31n), 2n ** 32n) >>> 0;
    this.data = integerOf(data, "data", -(2n ** 63n), 2n ** 63n);
    this.udata = integerOf(udata, "udata", 0n, 2n ** 64n);
  }

  /** Returns true if `other` is a Kevent with the same fields. */
  equals(other: unknown): boolean {
    return other instanceof Kevent && this.compareTo(other) === 0;
  }

  /**
   * Compares two events by `ident`, `filter`, `flags`, `fflags`, `data` and `udata`, in this order.
   *
   * To sort an array, call `events.sort((a, b) => a.compareTo(b))`.
   *
   * @returns A negative number if this event comes before `other`, a positive number if it comes after, and 0 if they
   * are equal
   * @throws {TypeError} if `other` is not a Kevent
   */
  compareTo(other: Kevent): number {
    if (!(other instanceof Kevent)) throw new TypeError(`Cannot compare an event with ${show(other)}: use a Kevent`);
    for (const field of ["ident", "filter", "flags", "fflags", "data", "udata"] as const) {
      if (this[field] < other[field]) return -1;
      if (this[field] > other[field]) return 1;
    }
    return 0;
  }
}

/** Checks the bounds of an integer and returns it, as a number if it is a safe integer. */
function integerOf<N extends number | bigint>(value: N, field: string, lowest: bigint, end: bigint): N {
  const isInteger = typeof value === "bigint" || Number.isSafeInteger(value);
  if (!isInteger || BigInt(value) < lowest || BigInt(value) >= end) {
    const bounds = `from ${lowest} to ${end - 1n}`;
    const message = `Cannot use ${show(value)} as the ${field} of an event: use an integer ${bounds}`;
    throw typeof value === "bigint" ? new RangeError(message) : numberError(value, message);
  }
  return narrowed(BigInt(value)) as N;
}

function narrowed(value: bigint): number | bigint {
  return BigInt(Number(value)) === value && Number.isSafeInteger(Number(value)) ? Number(value) : value;
}

/** Returns events as an array of `struct kevent`. */
export function encode(kevents: readonly Kevent[], layout: KeventLayout): Uint8Array<ArrayBuffer> {
  const view = new DataView(new ArrayBuffer(kevents.length * layout.size));
  for (const [index, kevent] of kevents.entries()) writeKevent(view, index * layout.size, layout, kevent);
  return new Uint8Array(view.buffer);
}

/** Returns the events in an array of `struct kevent`. */
export function decode(bytes: Uint8Array<ArrayBuffer>, count: number, layout: KeventLayout): Kevent[] {
  const view = new DataView(bytes.buffer);
  return Array.from({ length: count }, (_, index) => {
    const { ident, filter, flags, fflags, data, udata } = readKevent(view, index * layout.size, layout);
    return new Kevent(ident, filter, flags, fflags, data, udata);
  });
}
