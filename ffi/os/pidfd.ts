/**
 * pidfd (Linux, Android): a descriptor for a process, readable once the process has ended.
 *
 * ## Why nothing is reaped here
 *
 * Deno itself waits for the children of `Deno.Command`, and `child.status` rejects if another call has reaped the
 * child. So waitid() is called with WNOWAIT, which does not reap the child. After Deno has reaped the child, the ioctl
 * PIDFD_GET_INFO returns the status, on Linux 6.15 and later. Neither call alone shows whether a process has ended:
 * waitid() always fails with ECHILD if the process is not a child. So poll(2) checks that first.
 *
 * @see {@link https://man7.org/linux/man-pages/man2/pidfd_open.2.html | pidfd_open(2)}
 *
 * @module
 */

import { errnoCell, lazyLibc, result } from "./call.ts";
import { check, ENOSYS, ESRCH, OSError } from "./errno.ts";
import { POLLIN, PollSet } from "./poll.ts";
import { NO_PROCESS, type ProcessDescriptor } from "./process.ts";
import * as sys from "./sys.ts";

/** Number of pidfd_open on every architecture; musl, and glibc before 2.36, have no function for it. */
export const SYS_PIDFD_OPEN = 434n;

/** Kind of ID for waitid(): a pidfd. */
export const P_PIDFD = 3;
/** Option of waitid(): do not block. */
export const WNOHANG = 0x0000_0001;
/** Option of waitid(): wait for the end of a process. */
export const WEXITED = 0x0000_0004;
/** Option of waitid(): do not reap. */
export const WNOWAIT = 0x0100_0000;

/**
 * typedef struct {
 *   int   si_signo;    // +0
 *   int   si_errno;    // +4
 *   int   si_code;     // +8
 *   pid_t si_pid;      // +16
 *   uid_t si_uid;      // +20
 *   int   si_status;   // +24
 *   ...
 * } siginfo_t;         // 128
 */
export const SIGINFO = { size: 128, si_code: 8, si_pid: 16, si_status: 24 };

/** Value of si_code: the process has returned an exit code. */
export const CLD_EXITED = 1;
/** Value of si_code: a signal has ended the process, and it has left a core dump. */
export const CLD_DUMPED = 3;

/** Bit of a wait status: the process has left a core dump. */
export const WCOREFLAG = 0x80;

/**
 * struct pidfd_info {   <linux/pidfd.h>
 *   __u64 mask;         // +0
 *   __u64 cgroupid;     // +8
 *   __u32 pid;          // +16
 *   ...
 *   __s32 exit_code;    // +60
 * };                    // 64, PIDFD_INFO_SIZE_VER0
 */
export const PIDFD_INFO = { size: 64, mask: 0, exit_code: 60 };

/** _IOWR(0xFF, 11, struct pidfd_info) */
export const PIDFD_GET_INFO = 0xc040_ff0bn;
/** Bit of the mask of pidfd_info: the exit code. */
export const PIDFD_INFO_EXIT = 1 << 3;

const libc = lazyLibc({
  // long syscall(long number, ...): pidfd_open(pid_t pid, unsigned int flags)
  syscall: { parameters: ["usize", "i32", "u32"], result: "i32" },
  // int waitid(idtype_t idtype, id_t id, siginfo_t *infop, int options)
  waitid: { parameters: ["i32", "u32", "buffer", "i32"], result: "i32" },
  // int ioctl(int fd, unsigned long request, ...)
  ioctl: { parameters: ["i32", "usize", "buffer"], result: "i32" },
});

// Memory for calls, shared by all pidfds of the thread.
const siginfo = new Int32Array(SIGINFO.size / 4);
const info = new Int32Array(PIDFD_INFO.size / 4);

/** A pidfd. */
export class Pidfd implements ProcessDescriptor {
  readonly fd: number;

  /** Opens a descriptor for a process; pidfd_open() makes it close-on-exec. */
  constructor(pid: number) {
    const outcome = result(libc().syscall(SYS_PIDFD_OPEN, pid, 0), errnoCell[0]!);
    if (outcome === -ESRCH) throw new OSError("pidfd_open", ESRCH, `process ${pid}`, { text: NO_PROCESS });
    if (outcome === -ENOSYS) {
      throw new Deno.errors.NotSupported(
        `Cannot wait for process ${pid}: this needs Linux 5.3; use the status of Deno.ChildProcess`,
      );
    }
    this.fd = check(outcome, "pidfd_open", `process ${pid}`);
  }

  status(): number | undefined | null {
    if (!this.#hasEnded()) return null;
    return this.#waitStatus() ?? this.#infoStatus();
  }

  close(): void {
    sys.close(this.fd);
  }

  #hasEnded(): boolean {
    const set = new PollSet();
    set.set(this.fd, POLLIN);
    return set.wait(0) > 0;
  }

  /** Returns the status of a child that has ended and was not reaped; undefined for any other process. */
  #waitStatus(): number | undefined {
    siginfo.fill(0);
    const outcome = result(libc().waitid(P_PIDFD, this.fd, siginfo, WEXITED | WNOHANG | WNOWAIT), errnoCell[0]!);
    if (outcome < 0 || siginfo[SIGINFO.si_pid / 4] === 0) return undefined;
    const code = siginfo[SIGINFO.si_code / 4]!;
    const status = siginfo[SIGINFO.si_status / 4]!;
    if (code === CLD_EXITED) return status << 8;
    return code === CLD_DUMPED ? status | WCOREFLAG : status;
  }

  /** Returns the status of a process that was reaped; undefined if the kernel does not report it. */
  #infoStatus(): number | undefined {
    info.fill(0);
    info[PIDFD_INFO.mask / 4] = PIDFD_INFO_EXIT;
    const outcome = result(libc().ioctl(this.fd, PIDFD_GET_INFO, info), errnoCell[0]!);
    if (outcome < 0 || (info[PIDFD_INFO.mask / 4]! & PIDFD_INFO_EXIT) === 0) return undefined;
    return info[PIDFD_INFO.exit_code / 4]!;
  }
}
