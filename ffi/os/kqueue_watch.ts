/**
 * A kqueue for a single event that does not concern a descriptor: a timer, or the end of a process.
 *
 * The descriptor of a kqueue is readable while the kqueue has an event, so any selector can wait for the descriptor.
 * The descriptor of libkqueue is an exception.
 *
 * @module
 */

import { EINTR } from "./errno.ts";
import { type KeventFields, readKevent, writeKevent } from "./kevent.ts";
import { KqueueInstance } from "./kqueue_instance.ts";
import type { KqueueSystem } from "./kqueue_system.ts";

const KQ_EV_ADD = 0x0001;
const KQ_EV_DELETE = 0x0002;
const KQ_NOTE_TRIGGER = 0x0100_0000;

const NONE = new Uint8Array(0);

/** A kqueue with at most one event at a time. A failure is `-errno`. */
export class KqueueWatch {
  readonly #kqueue = new KqueueInstance();
  readonly #kevent: DataView<ArrayBuffer>;
  readonly #bytes: Uint8Array<ArrayBuffer>;

  /** Creates a kqueue, close-on-exec. */
  constructor() {
    this.#bytes = new Uint8Array(this.system.kevent.size);
    this.#kevent = new DataView(this.#bytes.buffer);
  }

  /** Descriptor of the kqueue. */
  get fd(): number {
    return this.#kqueue.fd;
  }

  /** Layouts and numbers of the system that the kqueue belongs to. */
  get system(): KqueueSystem {
    return this.#kqueue.system;
  }

  /** Adds or changes an event. */
  add(ident: number, filter: number, flags: number, fflags: number, data: number): number {
    return this.#change(ident, filter, KQ_EV_ADD | flags, fflags, data);
  }

  /** Removes an event, even if it has occurred and was not taken. Returns `-ENOENT` if there is no such event. */
  delete(ident: number, filter: number): number {
    return this.#change(ident, filter, KQ_EV_DELETE, 0, 0);
  }

  /** Makes the descriptor readable until it is closed. */
  trigger(): void {
    const { USER } = this.system.filters;
    // NetBSD before version 10 has no such event: there, the descriptor does not stay readable.
    if (this.#change(0, USER, KQ_EV_ADD, 0, 0) >= 0) this.#change(0, USER, 0, KQ_NOTE_TRIGGER, 0);
  }

  /** Removes and returns the event that has occurred; returns null if none has. */
  take(): KeventFields | null {
    for (;;) {
      const count = this.#kqueue.control(NONE, this.#bytes, 0);
      if (count > 0) return readKevent(this.#kevent, 0, this.system.kevent);
      if (count !== -EINTR) return null;
    }
  }

  /** Closes the descriptor. */
  close(): void {
    this.#kqueue.close();
  }

  #change(ident: number, filter: number, flags: number, fflags: number, data: number): number {
    writeKevent(this.#kevent, 0, this.system.kevent, { ident, filter, flags, fflags, data, udata: 0 });
    return this.#kqueue.control(this.#bytes, NONE, 0);
  }
}
