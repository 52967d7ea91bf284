/**
 * Forwards TCP connections: connects to the target for each client, and copies bytes both ways.
 *
 * The proxy keeps at most one buffer in each direction: it does not read from one side until the other side has taken
 * the earlier bytes. If one side shuts down writing, the proxy shuts down writing to the other side, and continues to
 * copy in the other direction. If one side resets its connection, the next read or write of the proxy fails, and the
 * proxy resets the other side. It also resets the client if it cannot connect to the target, and both sides on Ctrl-C,
 * because an ordinary end would make the data look complete.
 *
 * ```sh
 * deno run --allow-ffi jsr:@selectors/selectors/examples/tcp-proxy 8000 example.com 80
 * ```
 *
 * @module
 */

import { DefaultSelector, EVENT_READ, EVENT_WRITE, OSError } from "@selectors/selectors";
import {
  createServer,
  getaddrinfo,
  SHUT_WR,
  SO_ERROR,
  SO_LINGER,
  Socket,
  SOL_SOCKET,
} from "@selectors/selectors/socket";

/** One side of a proxied connection: the client or the target. */
class Side {
  peer!: Side; // the other side
  unsent: Uint8Array = new Uint8Array(); // bytes to send to this side
  hasEnded = false; // true if this side sends no more bytes
  constructor(readonly socket: Socket, public isConnected: boolean) {}
}

/**
 * A `struct linger { int l_onoff; int l_linger; }` with which close() resets the connection. On Windows, both fields
 * have 16 bits, so the first integer holds both.
 */
const RESET = new Uint8Array(new Int32Array([1, 0]).buffer);
const [port = "8000", host = "127.0.0.1", targetPort = "65432"] = Deno.args;
const [target] = getaddrinfo(host, targetPort);
const buffer = new Uint8Array(64 * 1024);
const sides = new Set<Side>();
const selector = new DefaultSelector<Side | null, Socket>();
const listener = createServer({ hostname: "127.0.0.1", port: Number(port) });
listener.setBlocking(false);
listen();
const { port: bound } = listener.getsockname();
console.log(`Forwarding port ${bound} to ${host} port ${targetPort}; try: nc 127.0.0.1 ${bound}`);
Deno.addSignalListener("SIGINT", () => selector.close()); // ends the loop
for await (const [{ data: side }, events] of selector) {
  attempt(side, () => side === null ? accept() : serve(side, events));
}
console.log("Server shutting down");
for (const side of sides) abort(side);

/** Calls a function for a side; `null` stands for the listener. If it fails, resets both sides, or stops accepting. */
function attempt(side: Side | null, action: () => void): void {
  try {
    action();
  } catch (error) {
    if (!(error instanceof OSError)) throw error;
    console.log(error.message);
    if (side === null) pause();
    else abort(side);
  }
}

function listen(): void {
  selector.register(listener, EVENT_READ, null);
}

function accept(): void {
  using stack = new DisposableStack(); // closes the socket if there is no client for it
  const socket = stack.use(new Socket(target.family)); // before accept(), so that EMFILE leaves the client in the queue
  const accepted = listener.tryAccept();
  if (accepted === null) return;
  stack.move();
  const [client, server] = [new Side(accepted[0], true), new Side(socket, false)];
  [client.peer, server.peer] = [server, client];
  sides.add(client).add(server);
  attempt(client, () => {
    for (const { socket } of [client, server]) socket.setBlocking(false);
    const code = socket.connectEx(target.address);
    if (code === null || code === "EINPROGRESS") return watch(server); // it becomes writable when connect() ends
    console.log(`connect: ${code}`);
    abort(client);
  });
}

function serve(side: Side, events: number): void {
  const { socket, peer } = side;
  const errno = side.isConnected ? 0 : socket.getsockopt(SOL_SOCKET, SO_ERROR);
  if (errno !== 0) throw new OSError("connect", errno);
  side.isConnected = true;
  if (events & EVENT_WRITE) send(side, side.unsent);
  if (events & EVENT_READ) {
    const count = socket.tryRecvInto(buffer);
    side.hasEnded = count === 0;
    if (side.hasEnded) peer.socket.shutdown(SHUT_WR); // the peer has no unsent bytes: see watch()
    else send(peer, buffer.subarray(0, count ?? 0));
  }
  if (side.hasEnded && peer.hasEnded) return close(side);
  for (const each of [side, peer]) watch(each);
}

function send(side: Side, data: Uint8Array): void {
  side.unsent = data.length > 0 ? data.slice(side.socket.trySend(data) ?? 0) : data;
}

/** Registers a side for the events that it needs now, or unregisters a side that needs none. */
function watch(side: Side): void {
  const { socket, peer, unsent, isConnected, hasEnded } = side;
  const canRead = peer.isConnected && !hasEnded && peer.unsent.length === 0;
  const mustWrite = !isConnected || unsent.length > 0;
  const events = (canRead ? EVENT_READ : 0) | (mustWrite ? EVENT_WRITE : 0);
  if (!selector.getMap()!.has(socket)) {
    if (events !== 0) selector.register(socket, events, side);
  } else if (events === 0) {
    selector.unregister(socket);
  } else {
    selector.modify(socket, events, side);
  }
}

function close(side: Side): void {
  for (const each of [side, side.peer]) {
    sides.delete(each);
    if (selector.getMap()?.has(each.socket)) selector.unregister(each.socket); // getMap() is null after Ctrl-C
    each.socket.close();
  }
}

/** Closes both sides with a reset. */
function abort(side: Side): void {
  for (const { socket } of [side, side.peer]) {
    try {
      socket.setsockopt(SOL_SOCKET, SO_LINGER, RESET);
    } catch { /* fails on macOS if the other end has already reset the connection */ }
  }
  close(side);
}

/**
 * Stops accepting for a second, because accept() has failed, usually with EMFILE: too many files are open. Waiting
 * connections stay in the listener's queue.
 */
function pause(): void {
  if (selector.getMap()!.has(listener)) selector.unregister(listener); // not registered if listen() has failed
  Deno.unrefTimer(setTimeout(() => {
    if (!selector.closed) attempt(null, listen);
  }, 1000));
}
