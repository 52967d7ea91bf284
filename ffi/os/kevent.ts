/**
 * A `struct kevent` in memory, with the layout of each system.
 *
 * @module
 */

import type { KeventLayout } from "./kqueue_system.ts";

/** Fields of a `struct kevent`. */
export interface KeventFields {
  readonly ident: number | bigint;
  readonly filter: number;
  readonly flags: number;
  readonly fflags: number;
  readonly data: number | bigint;
  readonly udata: number | bigint;
}

/** Returns true if filters and flags have 32 bits, or false for 16. */
export function isWide({ filter, flags }: KeventLayout): boolean {
  return flags - filter === 4;
}

/** Writes an event at an offset. */
export function writeKevent(view: DataView, at: number, layout: KeventLayout, kevent: KeventFields): void {
  const { filter, flags } = kevent;
  view.setBigUint64(at + layout.ident, BigInt(kevent.ident), true);
  if (isWide(layout)) view.setUint32(at + layout.filter, filter, true);
  else view.setInt16(at + layout.filter, filter, true);
  if (isWide(layout)) view.setUint32(at + layout.flags, flags, true);
  else view.setUint16(at + layout.flags, flags, true);
  view.setUint32(at + layout.fflags, kevent.fflags, true);
  view.setBigInt64(at + layout.data, BigInt(kevent.data), true);
  view.setBigUint64(at + layout.udata, BigInt(kevent.udata), true);
}

/** Reads the event at an offset. */
export function readKevent(view: DataView, at: number, layout: KeventLayout): KeventFields {
  return {
    ident: view.getBigUint64(at + layout.ident, true),
    filter: isWide(layout) ? view.getUint32(at + layout.filter, true) : view.getInt16(at + layout.filter, true),
    flags: isWide(layout) ? view.getUint32(at + layout.flags, true) : view.getUint16(at + layout.flags, true),
    fflags: view.getUint32(at + layout.fflags, true),
    data: view.getBigInt64(at + layout.data, true),
    udata: view.getBigUint64(at + layout.udata, true),
  };
}
