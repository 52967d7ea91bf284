/**
 * Parks the asynchronous waits of an isolate in one blocked call, until there is something to look at.
 *
 * Deno runs blocking calls on a few dozen threads, and reads files on them too. So all the waits of an isolate share one
 * of them: it waits for every descriptor that any of them waits for, and each selector looks for itself when it returns.
 * The result of the call is not used otherwise: its errno belongs to another thread, and readiness may have passed.
 *
 * ## Returns that help nobody
 *
 * The call may name a descriptor that no selector finds ready: a stale epoll description for whose removal there is no
 * descriptor, a hang-up that poll(2) always reports and select(2) does not, a number that was closed. It would
 * return at once for ever. After a few such returns the descriptors that it names rest for a hundredth of a second.
 *
 * @module
 */

import { check, EBADF } from "../../ffi/os/errno.ts";
import { type Os, os } from "../../ffi/os/platform.ts";
import { PollSet } from "../../ffi/os/poll.ts";
import { SelectSet } from "../../ffi/os/select.ts";
import { isInterruption, leftUntil, monotonicMs } from "../../ffi/os/timeout.ts";
import { Waker } from "../../ffi/os/waker.ts";
import { EVENT_READ, flagsOf, setsOf } from "../events.ts";

/** Puts a descriptor into the set of the blocked call, for events of a selector. */
export type Enlist = (fd: number, events: number) => void;

/** A wait that stands here. */
export interface ParkedWait {
  /** Time at which it ends, by `monotonicMs()`; `Infinity` for never. */
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
  /** Returns the descriptors that the last wait, which gave `count`, has named. */
  named(count: number): number[];
  name: string;
}

/**
 * The longest that one call blocks. A Worker that is terminated runs no more code, and its call ends by itself: so its
 * thread does not stay for ever.
 */
const MAX_BLOCK_MS = 2_000;

/** Returns in a row that helped nobody, after which the descriptors that they name rest. */
const MAX_FRUITLESS = 3;

/** Milliseconds for which such descriptors are left out. */
const REST_MS = 10;

/** Milliseconds until an interruption is sent again that the system had no memory for. */
const RESEND_MS = 1;

// Captured at load time, so that fake timers in user tests do not affect it.
const setTimeout = globalThis.setTimeout;

function pollSet(): ParkingSet {
  const set = new PollSet();
  return {
    name: "poll",
    set: (fd, events) => set.set(fd, flagsOf(events)),
    wait: (timeoutMs) => set.wait(timeoutMs),
    waitAside: (timeoutMs) => set.waitAside(timeoutMs),
    named: () => set.named(),
  };
}

function selectSet(): ParkingSet {
  const set = new SelectSet();
  return {
    name: "select",
    set: (fd, events) => set.set(fd, setsOf(events)),
    wait: (timeoutMs) => set.wait(timeoutMs),
    waitAside: (timeoutMs) => set.waitAside(timeoutMs),
    named: (count) => set.ready(count, (fd) => fd),
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
// Whether the waits have to be reviewed, and whether the blocked call has been told.
let isDisturbed = false;
let isCalled = false;
// Returns in a row that helped nobody, and what the last one named.
let fruitless = 0;
let named: readonly number[] = [];

/**
 * Announces a selector that will have waits here, for which two descriptors are kept open from now on: a server whose
 * clients have taken all others goes on waiting.
 *
 * @throws {OSError} EMFILE if too many are open already
 */
export function enter(): void {
  waker ??= new Waker();
  tenants++;
}

/** Takes leave of a selector; its waits are yet to be reviewed. */
export function leave(): void {
  tenants--;
  disturb();
  closeWaker();
}

/** Adds a wait, which is reviewed whenever something happens, until it is over. */
export function park(wait: ParkedWait): void {
  waits.add(wait);
  if (!isRunning) run();
  else if (isBlocked) disturb();
}

/** Has every wait reviewed, and the set made anew: something has changed that the blocked call cannot see. */
export function disturb(): void {
  isDisturbed = true;
  if (isBlocked && !isCalled) interrupt();
}

/** Ends the blocked call; tries again later if the system has no memory for it now. */
function interrupt(): void {
  if (!isBlocked || isCalled) return;
  isCalled = waker!.call() === 0;
  if (!isCalled) setTimeout(interrupt, RESEND_MS);
}

async function run(): Promise<void> {
  isRunning = true;
  isDisturbed = false;
  try {
    while (waits.size > 0) {
      await undefined; // waits that park in one go share the first call
      if (!isDisturbed) await block();
      const wasDisturbed = isDisturbed;
      isDisturbed = false;
      let hasSettled = false;
      for (const wait of waits) {
        if (!wait.review()) continue;
        waits.delete(wait);
        hasSettled = true;
      }
      if (hasSettled || wasDisturbed) fruitless = 0;
    }
  } catch (error) {
    for (const wait of waits) wait.fail(error);
    waits.clear();
  } finally {
    isRunning = false;
    closeWaker();
  }
}

/** Waits on another thread until there is something to look at. */
async function block(): Promise<void> {
  const wanted = new Map([[waker!.fd, EVENT_READ]]);
  let deadlineMs = monotonicMs() + MAX_BLOCK_MS;
  for (const wait of waits) {
    wait.enlist((fd, events) => wanted.set(fd, (wanted.get(fd) ?? 0) | events));
    deadlineMs = Math.min(deadlineMs, wait.deadlineMs);
  }
  const isResting = fruitless >= MAX_FRUITLESS;
  if (isResting) {
    if (named.length === 0) return await rest();
    for (const fd of named) wanted.delete(fd);
    deadlineMs = Math.min(deadlineMs, monotonicMs() + REST_MS);
  }
  const set = newSet();
  for (const [fd, events] of wanted) set.set(fd, events);
  isBlocked = true;
  try {
    const count = await set.waitAside(leftUntil(deadlineMs));
    isBlocked = false;
    if (count < 0) diagnose(set);
    note(count > 0 ? set.named(count) : [], isResting);
    if (count < 0) fruitless++;
  } finally {
    isBlocked = false;
    if (isCalled) waker!.drain();
    isCalled = false;
  }
}

/** Notes the descriptors that the call has named, as long as nobody can use them. */
function note(fds: number[], wasResting: boolean): void {
  const others = fds.filter((fd) => fd !== waker!.fd);
  // Somebody has closed the pair behind our back, and its numbers are not ours any more.
  if (others.length < fds.length && !isCalled) waker = new Waker();
  if (others.length > 0) {
    named = wasResting ? [...named, ...others] : others;
    fruitless++;
  } else if (wasResting) {
    fruitless = MAX_FRUITLESS - 1; // the rest is over: the next call names them again
  }
}

/** Lets some time pass where the call fails without naming a descriptor. */
async function rest(): Promise<void> {
  await new Promise((resolve) => setTimeout(resolve, REST_MS));
  fruitless = MAX_FRUITLESS - 1;
}

/** Throws if the call fails for a reason that stays: it would be made again at once, and for ever. */
function diagnose(set: ParkingSet): void {
  const outcome = set.wait(0);
  // A descriptor that was closed is for its selector to find.
  if (!isInterruption(outcome) && outcome !== -EBADF) check(outcome, set.name);
}

/** Closes the pair once no selector and no call needs it. */
function closeWaker(): void {
  if (tenants > 0 || isRunning) return;
  waker?.close();
  waker = null;
}
