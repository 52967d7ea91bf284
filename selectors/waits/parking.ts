/**
 * Where asynchronous waits stand until there is something to look at: one blocked call for all of an isolate.
 *
 * Deno has a few dozen threads for calls that block, and files are read on them too. So all the waits of an isolate share
 * one of them: it waits for every descriptor that any of them waits for, and each selector is asked again when it returns.
 * What the call itself found is not used. Its errors are another thread's, and readiness may have passed.
 *
 * @module
 */

import { check, EBADF } from "../../ffi/os/errno.ts";
import { type Os, os } from "../../ffi/os/platform.ts";
import { PollSet } from "../../ffi/os/poll.ts";
import { SelectSet } from "../../ffi/os/select.ts";
import { isInterruption } from "../../ffi/os/timeout.ts";
import { wake, Waker } from "../../ffi/os/waker.ts";
import { EVENT_READ, flagsOf, setsOf } from "../events.ts";

/** Puts a descriptor into the set of the blocked call, for events of a selector. */
export type Enlist = (fd: number, events: number) => void;

/** A wait that stands here. */
export interface ParkedWait {
  /** When it is over, as `performance.now()` says; `Infinity` for never. */
  readonly deadlineMs: number;

  /** Names each descriptor that it waits for. */
  enlist(enlist: Enlist): void;

  /** Looks whether it is over, and settles it then, which it tells; never throws. */
  review(): boolean;

  /** Settles it by an error. */
  fail(error: unknown): void;
}

/** What the blocked call takes. */
interface ParkingSet {
  set(fd: number, events: number): void;
  wait(timeoutMs: number): number;
  waitAside(timeoutMs: number): Promise<number>;
  name: string;
}

function pollSet(): ParkingSet {
  const set = new PollSet();
  return {
    name: "poll",
    set: (fd, events) => set.set(fd, flagsOf(events)),
    wait: (timeoutMs) => set.wait(timeoutMs),
    waitAside: (timeoutMs) => set.waitAside(timeoutMs),
  };
}

function selectSet(): ParkingSet {
  const set = new SelectSet();
  return {
    name: "select",
    set: (fd, events) => set.set(fd, setsOf(events)),
    wait: (timeoutMs) => set.wait(timeoutMs),
    waitAside: (timeoutMs) => set.waitAside(timeoutMs),
  };
}

/** Windows has no poll() that sees a refused connection, and that of macOS knows no terminals. */
const newSet: () => ParkingSet =
  ({ windows: selectSet, darwin: selectSet } as Partial<Record<Os, () => ParkingSet>>)[os] ??
    pollSet;

const waits = new Set<ParkedWait>();
let tenants = 0;
let waker: Waker | null = null;
let isRunning = false;
let isBlocked = false;
let isDisturbed = false;

/**
 * Says that a selector will have waits here, for which two descriptors are kept open from now on: a server whose clients
 * have taken all of them goes on waiting.
 *
 * @throws {OSError} EMFILE if too many are open already
 */
export function enter(): void {
  waker ??= new Waker();
  tenants++;
}

/** Says that a selector will have no more waits here; those that it has are yet to be reviewed. */
export function leave(): void {
  tenants--;
  disturb();
  closeWaker();
}

/** Adds a wait, to be reviewed whenever something happens, until it is over. */
export function park(wait: ParkedWait): void {
  waits.add(wait);
  if (!isRunning) run();
  else if (isBlocked) disturb();
}

/** Has every wait reviewed, and the set made anew: something has changed that the blocked call cannot see. */
export function disturb(): void {
  if (isBlocked && !isDisturbed) wake(waker!.handle);
  isDisturbed = true;
}

async function run(): Promise<void> {
  isRunning = true;
  isDisturbed = false;
  try {
    while (waits.size > 0) {
      await undefined; // those that park in one go share the first call
      if (!isDisturbed) await block();
      isDisturbed = false;
      for (const wait of waits) {
        if (wait.review()) waits.delete(wait);
      }
    }
  } catch (error) {
    for (const wait of waits) wait.fail(error);
    waits.clear();
  } finally {
    isRunning = false;
    closeWaker();
  }
}

/** Waits, on another thread, until there is something to look at. */
async function block(): Promise<void> {
  const wanted = new Map([[waker!.fd, EVENT_READ]]);
  let deadlineMs = Infinity;
  for (const wait of waits) {
    wait.enlist((fd, events) => wanted.set(fd, (wanted.get(fd) ?? 0) | events));
    deadlineMs = Math.min(deadlineMs, wait.deadlineMs);
  }
  const set = newSet();
  for (const [fd, events] of wanted) set.set(fd, events);
  isBlocked = true;
  try {
    const count = await set.waitAside(Math.max(deadlineMs - performance.now(), 0));
    if (count < 0) diagnose(set);
  } finally {
    isBlocked = false;
    if (isDisturbed) waker!.drain();
  }
}

/** Throws if the call fails for a reason that stays: it would be made again at once, and for ever. */
function diagnose(set: ParkingSet): void {
  const outcome = set.wait(0);
  // A descriptor that was closed is for its selector to find.
  if (!isInterruption(outcome) && outcome !== -EBADF) check(outcome, set.name);
}

/** Closes what no selector and no call needs any longer. */
function closeWaker(): void {
  if (tenants > 0 || isRunning) return;
  waker?.close();
  waker = null;
}
