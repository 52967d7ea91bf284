/**
 * Scenarios for sockets, pipes and name resolution, without a selector.
 *
 * @module
 */

import {
  AF_INET,
  close,
  createServer,
  getaddrinfo,
  type InetAddress,
  pipe,
  read,
  setBlocking,
  SHUT_WR,
  SO_ERROR,
  SO_REUSEADDR,
  SOCK_DGRAM,
  Socket,
  socketpair,
  SOL_SOCKET,
  write,
} from "../../../ffi/socket/mod.ts";
import type { Lab } from "../lab.ts";
import { Thing } from "../things.ts";
import { PATIENCE } from "../waits.ts";
import type { Scenario } from "./scenario.ts";

const ANY = { hostname: "127.0.0.1", port: 0 };
const PING = new TextEncoder().encode("ping");

/** A stack of sockets and descriptors to close at the end. */
class Open implements Disposable {
  readonly #stack = new DisposableStack();

  constructor(readonly lab: Lab) {}

  /** Runs a required step that creates a socket. */
  socket(make: () => Socket): Socket {
    return this.#stack.use(this.lab.need(make));
  }

  /** Runs a required step that creates two sockets. */
  sockets(make: () => [Socket, Socket]): [Socket, Socket] {
    const pair = this.lab.need(make);
    pair.forEach((socket) => this.#stack.use(socket));
    return pair;
  }

  /** Runs a required step that creates two file descriptors. */
  descriptors(make: () => [number, number]): [number, number] {
    const pair = this.lab.need(make);
    this.#stack.defer(() => pair.forEach((fd) => this.lab.try(() => close(fd))));
    return pair;
  }

  [Symbol.dispose](): void {
    this.lab.try(() => this.#stack.dispose());
  }
}

function same(lab: Lab, bytes: Uint8Array): void {
  lab.assert(String(bytes) === String(PING), `received ${bytes} instead of ${PING}`);
}

/** Waits with the real poll() until a socket is ready. */
function until(lab: Lab, socket: Socket, events: number): void {
  lab.assert(Thing.ready(socket.fileno(), events, PATIENCE) === events, "a socket does not become ready");
}

/** The scenarios for sockets, pipes and name resolution. */
export const sockets: Scenario[] = [
  {
    name: "a TCP connection with blocking sockets",
    run(lab) {
      using open = new Open(lab);
      const listener = open.socket(() => createServer(ANY));
      const address = lab.need(() => listener.getsockname()) as InetAddress;
      const client = open.socket(() => new Socket());
      lab.need(() => client.connect(address));
      const server = open.socket(() => listener.accept()[0]);
      lab.need(() => client.sendAll(PING));
      same(lab, lab.need(() => server.recv(100)));
      lab.need(() => server.send(PING));
      same(lab, lab.need(() => client.recvFrom(100)[0]));
      lab.need(() => client.getpeername());
      lab.need(() => client.shutdown(SHUT_WR));
      lab.assert(lab.need(() => server.recv(100)).length === 0, "the end of the stream does not arrive");
    },
  },
  {
    name: "a TCP connection with nonblocking sockets",
    run(lab) {
      using open = new Open(lab);
      const listener = open.socket(() => createServer(ANY));
      lab.need(() => listener.setBlocking(false));
      lab.assert(lab.need(() => listener.tryAccept()) === null, "a connection is accepted before it is made");
      const client = open.socket(() => new Socket());
      lab.need(() => client.setBlocking(false));
      const code = lab.need(() => client.connectEx(listener.getsockname()));
      if (code !== null && code !== "EINPROGRESS") {
        return lab.accept(Object.assign(new Error(`(${code})`), { name: "OSError", code }));
      }
      until(lab, client, 2);
      lab.assert(lab.need(() => client.getsockopt(SOL_SOCKET, SO_ERROR)) === 0, "the connection fails");
      until(lab, listener, 1);
      const accepted = lab.need(() => listener.tryAccept());
      if (accepted === null) {
        return lab.assert(lab.fault?.code === "EAGAIN", "a pending connection is not accepted");
      }
      const server = open.socket(() => accepted[0]);
      lab.need(() => server.setBlocking(false));
      lab.need(() => server.setsockopt(SOL_SOCKET, SO_REUSEADDR, true));
      const buffer = new Uint8Array(100);
      lab.assert(lab.need(() => server.tryRecvInto(buffer)) === null, "data arrives before it is sent");
      if (lab.need(() => client.trySend(PING)) === null) return;
      until(lab, server, 1);
      const count = lab.need(() => server.tryRecvInto(buffer));
      if (count !== null) same(lab, buffer.subarray(0, count));
    },
  },
  {
    name: "datagrams",
    run(lab) {
      using open = new Open(lab);
      const receiver = open.socket(() => new Socket(AF_INET, SOCK_DGRAM));
      lab.need(() => receiver.bind(ANY));
      const sender = open.socket(() => new Socket(AF_INET, SOCK_DGRAM));
      lab.need(() => sender.sendTo(PING, receiver.getsockname()));
      same(lab, lab.need(() => receiver.recvFrom(100)[0]));
    },
  },
  {
    name: "messages with descriptors",
    run(lab) {
      using open = new Open(lab);
      const [here, there] = open.sockets(() => socketpair());
      const parts = Array.from(PING, (byte) => Uint8Array.of(byte));
      lab.need(() => here.sendFds(parts, [here, there]));
      const [, writer] = open.descriptors(() => {
        const [data, [first, second]] = there.recvFds(100, 2);
        same(lab, data);
        return [second!, first!];
      });
      lab.need(() => write(writer, PING));
      same(lab, lab.need(() => there.recv(100)));
      lab.need(() => here.sendMsg(parts));
      const arrays = Array.from(PING, () => new Uint8Array(1));
      lab.need(() => there.recvMsgInto(arrays));
      same(lab, Uint8Array.from(arrays, ([byte]) => byte!));
    },
  },
  {
    name: "a socket pair with one socket detached and recreated from its descriptor",
    run(lab) {
      using open = new Open(lab);
      const [here, there] = open.sockets(() => socketpair());
      lab.need(() => there.sendAll(PING));
      const fd = here.detach();
      const taken = lab.try(() => Socket.fromFd(fd));
      if (taken === undefined) return void lab.try(() => close(fd));
      same(lab, lab.need(() => open.socket(() => taken).recv(100)));
    },
  },
  {
    name: "a pipe",
    run(lab) {
      using open = new Open(lab);
      const [reader, writer] = open.descriptors(() => pipe());
      lab.need(() => setBlocking(reader, false));
      lab.need(() => write(writer, PING));
      const buffer = new Uint8Array(100);
      same(lab, buffer.subarray(0, lab.need(() => read(reader, buffer))));
    },
  },
  {
    name: "name resolution",
    run(lab) {
      using open = new Open(lab);
      lab.assert(lab.need(() => getaddrinfo("localhost", 80)).length > 0, "localhost has no address");
      const listener = open.socket(() => createServer({ hostname: "localhost", port: 0 }));
      lab.need(() => listener.getsockname());
    },
  },
];
