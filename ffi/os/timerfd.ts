/**
 * timerfd (Linux, Android): a kernel timer with a descriptor, from which a program reads the number of expiries.
 *
 * @see {@link https://man7.org/linux/man-pages/man2/timerfd_create.2.html | timerfd_create(2)}
 *
 * @module
 */

import { errnoCell, lazyLibc, result } from "./call.ts";
import { check, EAGAIN, EINTR } from "./errno.ts";
import * as sys from "./sys.ts";
import type { TimerDescriptor } from "./timer.ts";

/** The clock that never steps. */
export const CLOCK_MONOTONIC = 1;
/** O_NONBLOCK: the same number on x86-64 and arm64. */
export const TFD_NONBLOCK = 0o4000;
/** O_CLOEXEC: the same number on x86-64 and arm64. */
export const TFD_CLOEXEC = 0o2000000;

/**
 * struct itimerspec {             64-bit
 *   struct timespec it_interval;  // +0   tv_sec, tv_nsec
 *   struct timespec it_value;     // +16  tv_sec, tv_nsec
 * };                              // 32
 */
export const ITIMERSPEC = { size: 32, it_interval: 0, it_value: 16 };

const libc = lazyLibc({
  // int timerfd_create(int clockid, int flags)
  timerfd_create: { parameters: ["i32", "i32"], result: "i32" },
  // int timerfd_settime(int fd, int flags, const struct itimerspec *new_value, struct itimerspec *old_value)
  timerfd_settime: { parameters: ["i32", "i32", "buffer", "buffer"], result: "i32" },
});

/** Largest number of seconds; the kernel itself cuts times to 292 years. */
const MAX_SECONDS = 2 ** 40;

/** A nanosecond in milliseconds. */
const NANOSECOND_MS = 1e-6;

// Memory for calls, shared by all timers of the thread.
const itimerspec = new BigInt64Array(ITIMERSPEC.size / 8);
/** A uint64_t, the number of expiries. */
const expirations = new BigUint64Array(1);
const expirationBytes = new Uint8Array(expirations.buffer);

/** A timerfd. */
export class Timerfd implements TimerDescriptor {
  readonly fd: number;

  /** Creates a timer of the monotonic clock. */
  constructor() {
    this.fd = check(
      result(libc().timerfd_create(CLOCK_MONOTONIC, TFD_NONBLOCK | TFD_CLOEXEC), errnoCell[0]!),
      "timerfd_create",
    );
  }

  set(delayMs: number, everyMs: number): void {
    // A value of 0 would stop the timer, so a delay of 0 lasts one nanosecond.
    putTimespec(ITIMERSPEC.it_value, delayMs === Infinity ? 0 : Math.max(delayMs, NANOSECOND_MS));
    putTimespec(ITIMERSPEC.it_interval, everyMs === Infinity ? 0 : everyMs);
    const outcome = result(libc().timerfd_settime(this.fd, 0, itimerspec, null), errnoCell[0]!);
    check(outcome, "timerfd_settime", this.fd);
  }

  read(): number {
    for (;;) {
      const outcome = sys.read(this.fd, expirationBytes);
      if (outcome === -EAGAIN) return 0;
      if (outcome === -EINTR) continue;
      check(outcome, "read", this.fd);
      return Number(expirations[0]!);
    }
  }

  close(): void {
    sys.close(this.fd);
  }
}

/** Writes milliseconds, rounded up to nanoseconds. */
function putTimespec(at: number, ms: number): void {
  let seconds = Math.min(Math.floor(ms / 1000), MAX_SECONDS);
  let nanoseconds = Math.min(Math.ceil((ms - seconds * 1000) * 1e6), 1e9);
  if (nanoseconds === 1e9) {
    nanoseconds = 0;
    seconds++;
  }
  itimerspec[at / 8] = BigInt(seconds);
  itimerspec[at / 8 + 1] = BigInt(nanoseconds);
}
