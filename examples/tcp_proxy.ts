/**
 * A TCP proxy: takes connections, makes one to the target for each, and copies both ways.
 *
 * At most one buffer waits in each direction: while one side does not take what it is owed, the other is not read. The
 * end of one direction is passed on while the other goes on. A reset is passed on too, once that side is read or written
 * again, and a target that cannot be connected to resets its client at once; so does Ctrl-C, lest what it cuts off look
 * complete.
 *
 * ```sh
 * deno run --allow-ffi jsr:@selectors/selectors/examples/tcp-proxy 8000 example.com 80
 * ```
 *
 * @module
 */

import { DefaultSelector, EVENT_READ, EVENT_WRITE, OSError } from "../mod.ts";
import { createServer, getaddrinfo, SHUT_WR, SO_ERROR, SO_LINGER, Socket, SOL_SOCKET } from "../ffi/socket/mod.ts";

/** One end of a proxied connection: `unsent` is what it is owed, `hasEnded` says that no more comes from it. */
type Side = { socket: Socket; peer: Side; unsent: Uint8Array; isConnected: boolean; hasEnded: boolean };

/** SO_LINGER for "reset when closed": two integers; Windows, where they are shorter, finds both in the first. */
const RESET = new Uint8Array(new Int32Array([1, 0]).buffer);
const [port = "8000", host = "127.0.0.1", targetPort = "65432"] = Deno.args;
const [target] = getaddrinfo(host, targetPort);
const buffer = new Uint8Array(64 * 1024);
const sides = new Set<Side>();
const selector = new DefaultSelector<Side | null, Socket>();
const listener = createServer({ hostname: "127.0.0.1", port: Number(port) });
listener.setBlocking(false);
selector.register(listener, EVENT_READ, null);
const { port: bound } = listener.getsockname() as { port: number };
console.log(`Passing port ${bound} on to ${host} port ${targetPort}; try: nc 127.0.0.1 ${bound}`);
Deno.addSignalListener("SIGINT", () => selector.close()); // ends the loop
for await (const [{ data: side }, events] of selector) {
  try {
    if (side === null) accept();
    else turn(side, events);
  } catch (error) {
    if (!(error instanceof OSError)) throw error;
    console.log(error.message);
    if (side !== null) abort(side);
    else pause();
  }
}
console.log("Server shutting down");
for (const side of sides) abort(side);

function accept(): void {
  using stack = new DisposableStack(); // what fails closes both; and the client stays in the queue while there is no descriptor for two
  const socket = stack.use(new Socket(target.family));
  const client = stack.use(listener.tryAccept()?.[0]);
  if (client === undefined) return;
  const side = { socket: client, unsent: buffer.subarray(0, 0), isConnected: true, hasEnded: false } as Side;
  side.peer = { ...side, socket, peer: side, isConnected: false };
  for (const { socket } of [side, side.peer]) socket.setBlocking(false);
  const code = socket.connectEx(target.address);
  if (code === null || code === "EINPROGRESS") watch(side.peer); // writable: it is connected, or has failed
  sides.add(side).add(side.peer);
  stack.move();
  if (selector.getMap()!.has(socket)) return;
  console.log(`connect: ${code}`);
  abort(side);
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
    if (side.hasEnded) peer.socket.shutdown(SHUT_WR); // nothing is owed to it, or this side would not have been read
    else send(peer, buffer.subarray(0, count ?? 0));
  }
  if (side.hasEnded && peer.hasEnded) return close(side);
  for (const each of [side, peer]) watch(each);
}

function send(side: Side, data: Uint8Array): void {
  side.unsent = data.length > 0 ? data.slice(side.socket.trySend(data) ?? 0) : data;
}

/** Waits for what can be done with a side, which may be nothing. */
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

/** Accepts nothing for a second: there is no descriptor for one more connection. */
function pause(): void {
  selector.unregister(listener);
  Deno.unrefTimer(setTimeout(() => selector.closed || selector.register(listener, EVENT_READ, null), 1000));
}
