/**
 * States of descriptors, and the events beyond reading and writing that Linux reports for each state.
 *
 * @module
 */

import { assertEquals, assertGreaterOrEqual } from "@std/assert";
import {
  AF_INET,
  AF_UNIX,
  MSG_OOB,
  SHUT_WR,
  SO_LINGER,
  SOCK_DGRAM,
  SOCK_STREAM,
  Socket,
  SOL_SOCKET,
} from "../../../ffi/socket/mod.ts";
import {
  EVENT_ERROR,
  EVENT_HANGUP,
  EVENT_PRIORITY,
  EVENT_READ_CLOSED,
  type FileObject,
  OSError,
} from "../../../mod.ts";
import { bytes, type Cleanup, libc, RESET_ON_CLOSE } from "../../support/util.ts";
import { close } from "../../../ffi/socket/mod.ts";

/** A descriptor in a certain state. */
interface State {
  /** Creates the descriptor. */
  make(cleanup: Cleanup): FileObject;
  /** The events that Linux reports. */
  events: number;
  /** True if only epoll, poll and select on Linux report these events; otherwise, kqueue reports them too. */
  isLinux?: boolean;
}

const CLOSED = EVENT_READ_CLOSED | EVENT_HANGUP;
const BROKEN = CLOSED | EVENT_ERROR;

function tcp(cleanup: Cleanup, act: (here: Socket, there: Socket) => void): Socket {
  const [here, there] = cleanup.pair(AF_INET);
  act(here, there);
  return here;
}

function unix(cleanup: Cleanup, act: (here: Socket, there: Socket) => void): Socket {
  const [here, there] = cleanup.pair(AF_UNIX, SOCK_STREAM);
  act(here, there);
  return here;
}

/** Returns a socket that is connected to a port without a listener. */
function unheard(cleanup: Cleanup, type: number): Socket {
  const socket = cleanup.add(new Socket(AF_INET, type));
  const port = free(type);
  socket.setBlocking(false);
  try {
    socket.connect({ hostname: "127.0.0.1", port });
  } catch (error) {
    if (!(error instanceof OSError)) throw error;
  }
  return socket;
}

function free(type: number): number {
  using socket = new Socket(AF_INET, type);
  socket.bind({ hostname: "127.0.0.1", port: 0 });
  return (socket.getsockname() as Deno.NetAddr).port;
}

/** Opens a pseudoterminal on Linux. */
function pty(cleanup: Cleanup): { master: number; slave: number; closeOne(fd: number): void } {
  const [O_RDWR_NOCTTY, TIOCSPTLCK, TIOCGPTPEER] = [0o402, 0x40045431n, 0x5441n];
  using library = disposable(Deno.dlopen("libc.so.6", {
    unlock: { name: "ioctl", parameters: ["i32", "u64", "buffer"], result: "i32" },
    peer: { name: "ioctl", parameters: ["i32", "u64", "i32"], result: "i32" },
  }));
  const open = new Set<number>();
  function closeOne(fd: number): void {
    if (open.delete(fd)) close(fd);
  }
  const master = libc!.open(bytes("/dev/ptmx\0"), O_RDWR_NOCTTY);
  assertGreaterOrEqual(master, 0);
  open.add(master);
  cleanup.defer(() => [...open].forEach(closeOne));
  assertEquals(library.symbols.unlock(master, TIOCSPTLCK, new Int32Array(1)), 0);
  const slave = library.symbols.peer(master, TIOCGPTPEER, O_RDWR_NOCTTY);
  assertGreaterOrEqual(slave, 0);
  open.add(slave);
  return { master, slave, closeOne };
}

function disposable<L extends { close(): void }>(library: L): L & Disposable {
  return Object.assign(library, { [Symbol.dispose]: () => library.close() });
}

/** States, by their descriptions. */
export const STATES: Readonly<Record<string, State>> = {
  "an idle TCP socket": { make: (cleanup) => tcp(cleanup, () => {}), events: 0 },
  "a TCP socket with data": { make: (cleanup) => tcp(cleanup, (_, there) => there.send(bytes("x"))), events: 0 },
  "a TCP socket with an urgent byte": {
    make: (cleanup) => tcp(cleanup, (_, there) => there.send(bytes("!"), MSG_OOB)),
    events: EVENT_PRIORITY,
  },
  "a TCP socket whose peer has shut down its writing half": {
    make: (cleanup) => tcp(cleanup, (_, there) => there.shutdown(SHUT_WR)),
    events: EVENT_READ_CLOSED,
  },
  "a TCP socket whose peer has closed": {
    make: (cleanup) => tcp(cleanup, (_, there) => there.close()),
    events: EVENT_READ_CLOSED,
  },
  "a TCP socket that both ends have shut down": {
    make: (cleanup) =>
      tcp(cleanup, (here, there) => {
        here.shutdown(SHUT_WR);
        there.shutdown(SHUT_WR);
      }),
    events: CLOSED,
  },
  "a TCP socket that its peer has reset": {
    make: (cleanup) =>
      tcp(cleanup, (_, there) => {
        there.setsockopt(SOL_SOCKET, SO_LINGER, RESET_ON_CLOSE);
        there.close();
      }),
    events: BROKEN,
  },
  "a TCP socket whose connect() was refused": {
    make: (cleanup) => unheard(cleanup, SOCK_STREAM),
    events: BROKEN,
  },
  "a TCP socket that was never connected": { make: (cleanup) => cleanup.add(new Socket()), events: CLOSED },
  "a Unix socket whose peer has shut down its writing half": {
    make: (cleanup) => unix(cleanup, (_, there) => there.shutdown(SHUT_WR)),
    events: EVENT_READ_CLOSED,
  },
  "a Unix socket whose peer has closed": {
    make: (cleanup) => unix(cleanup, (_, there) => there.close()),
    events: CLOSED,
  },
  "a pipe without a writer": {
    make(cleanup) {
      const [reader, writer] = cleanup.pipe();
      cleanup.close(writer);
      return reader;
    },
    events: CLOSED,
  },
  "a pipe without a reader": {
    make(cleanup) {
      const [reader, writer] = cleanup.pipe();
      cleanup.close(reader);
      return writer;
    },
    events: EVENT_ERROR,
  },
  "the master of a pseudoterminal whose slave has closed": {
    make(cleanup) {
      const { master, slave, closeOne } = pty(cleanup);
      closeOne(slave);
      return master;
    },
    events: CLOSED,
    isLinux: true,
  },
  "the slave of a pseudoterminal whose master has closed": {
    make(cleanup) {
      const { master, slave, closeOne } = pty(cleanup);
      closeOne(master);
      return slave;
    },
    events: BROKEN,
    isLinux: true,
  },
  "a UDP socket whose datagram found no receiver": {
    make(cleanup) {
      const socket = unheard(cleanup, SOCK_DGRAM);
      socket.send(bytes("x"));
      return socket;
    },
    events: EVENT_ERROR,
    isLinux: true,
  },
  "/proc/mounts without a change": {
    make(cleanup) {
      const fd = libc!.open(bytes("/proc/mounts\0"), 0);
      cleanup.defer(() => close(fd));
      return fd;
    },
    events: 0,
    isLinux: true,
  },
};
