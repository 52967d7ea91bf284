/**
 * Forwards TCP connections: connects to the target for each client, and copies bytes both ways.
 *
 * At most one buffer waits in each direction: the proxy does not read from one side until the other side has taken the
 * earlier bytes. It passes on the end of one direction while the other direction stays open. It passes on a reset when
 * it next reads from or writes to that side. If the connection to the target fails, or on Ctrl-C, it resets the client,
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

/** One end of a proxied connection, with the bytes to send to it; `hasEnded` is true if no more come from it. */
type Side = { socket: Socket; peer: Side; unsent: Uint8Array; isConnected: boolean; hasEnded: boolean };

/** SO_LINGER for "reset when closed": two integers. On Windows they are shorter, and both lie in the first. */
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
  attempt(side, () => side === null ? accept() : turn(side, events));
}
console.log("Server shutting down");
for (const side of sides) abort(side);

/** Calls a function for one side. A failure ends only that connection; the listener, null, pauses instead. */
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
  using stack = new DisposableStack(); // closes both sockets if the second cannot be made
  const socket = stack.use(new Socket(target.family)); // the first, so that EMFILE leaves the client in the queue
  const client = stack.use(listener.tryAccept()?.[0]);
  if (client === undefined) return;
  const side = { socket: client, unsent: buffer.subarray(0, 0), isConnected: true, hasEnded: false } as Side;
  side.peer = { ...side, socket, peer: side, isConnected: false };
  sides.add(side).add(side.peer);
  stack.move();
  attempt(side, () => {
    for (const { socket } of [side, side.peer]) socket.setBlocking(false);
    const code = socket.connectEx(target.address);
    if (code === null || code === "EINPROGRESS") return watch(side.peer); // writable once connected, or refused
    console.log(`connect: ${code}`);
    abort(side);
  });
}

function turn(side: Side, events: number): void {
  const { socket, peer } = side;
  const errno = side.isConnected ? 0 : socket.getsockopt(SOL_SOCKET, SO_ERROR);
  if (errno !== 0) throw new OSError("connect", errno);
  side.isConnected = true;
  if (events & EVENT_WRITE) send(side, side.unsent);
  if (events & EVENT_READ) {
    const count = socket.tryRecvInto(buffer);
    side.hasEnded = count === 0;
    if (side.hasEnded) peer.socket.shutdown(SHUT_WR); // it has no unsent bytes: see watch()
    else send(peer, buffer.subarray(0, count ?? 0));
  }
  if (side.hasEnded && peer.hasEnded) return close(side);
  for (const each of [side, peer]) watch(each);
}

function send(side: Side, data: Uint8Array): void {
  side.unsent = data.length > 0 ? data.slice(side.socket.trySend(data) ?? 0) : data;
}

/** Registers a side for the events that it can use; with none, unregisters it. */
function watch(side: Side): void {
  const { socket, peer, unsent, isConnected, hasEnded } = side;
  const events = (peer.isConnected && !hasEnded && peer.unsent.length === 0 ? EVENT_READ : 0) |
    (!isConnected || unsent.length > 0 ? EVENT_WRITE : 0);
  const isWatched = selector.getMap()!.has(socket);
  if (events !== 0) selector[isWatched ? "modify" : "register"](socket, events, side);
  else if (isWatched) selector.unregister(socket);
}

function close(side: Side): void {
  for (const { socket, peer } of [side, side.peer]) {
    sides.delete(peer);
    if (selector.getMap()?.has(socket)) selector.unregister(socket);
    socket.close();
  }
}

/** Closes both sides by a reset. */
function abort(side: Side): void {
  for (const { socket } of [side, side.peer]) {
    try {
      socket.setsockopt(SOL_SOCKET, SO_LINGER, RESET);
    } catch { /* macOS has no option for what its peer has reset */ }
  }
  close(side);
}

/** Leaves new connections in the listener's queue for a second, because the system has no room for another. */
function pause(): void {
  if (selector.getMap()!.has(listener)) selector.unregister(listener);
  Deno.unrefTimer(setTimeout(() => selector.closed || attempt(null, listen), 1000));
}
