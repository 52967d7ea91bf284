/**
 * Runs a chat for a thousand guests in one thread; a slow guest does not delay the others.
 *
 * Each line is encoded once, queued for every other guest, and sent as fast as each guest reads. A guest with more than
 * a mebibyte in its queue is disconnected.
 *
 * ```sh
 * deno run --allow-ffi jsr:@selectors/selectors/examples/chat-server 8001
 * ```
 *
 * @module
 */

import { DefaultSelector, EVENT_READ, EVENT_WRITE, OSError } from "@selectors/selectors";
import { createServer, type Socket } from "@selectors/selectors/socket";

/** A connection with its unfinished line and its queue of `size` unsent bytes. */
type Guest = { socket: Socket; name: string; line: string; decoder: TextDecoder; unsent: Uint8Array[]; size: number };

const LONGEST_LINE = 4096;
const MOST_UNSENT = 1 << 20;
const buffer = new Uint8Array(16 * 1024);
const guests = new Set<Guest>();
const farewells: string[] = []; // sent after each event, because sending one can make another guest leave
const selector = new DefaultSelector<Guest | null, Socket>();
const listener = createServer({ hostname: "127.0.0.1", port: Number(Deno.args[0] ?? 8001) });
listener.setBlocking(false);
listen();
const { port } = listener.getsockname();
console.log(`Chatting on port ${port}; try, in more than one terminal: nc 127.0.0.1 ${port}`);
Deno.addSignalListener("SIGINT", () => selector.close()); // ends the loop
for await (const [{ data: guest }, events] of selector) {
  attempt(guest, () => guest === null ? accept() : serve(guest, events));
  for (let words; (words = farewells.shift()) !== undefined;) tell(words, guests);
}
console.log("Server shutting down"); // the end of the program closes all sockets

/** Calls a function for a guest. A failure ends only that guest's visit; the listener, null, pauses instead. */
function attempt(guest: Guest | null, action: () => void): void {
  try {
    action();
  } catch (error) {
    if (!(error instanceof OSError)) throw error;
    console.log(error.message);
    if (guest === null) pause();
    else leave(guest, `was lost (${error.code})`);
  }
}

function listen(): void {
  selector.register(listener, EVENT_READ, null);
}

function accept(): void {
  const socket = listener.tryAccept()?.[0];
  if (socket === undefined) return;
  const guest = { socket, name: "", line: "", decoder: new TextDecoder(), unsent: [], size: 0 };
  guests.add(guest);
  attempt(guest, () => {
    socket.setBlocking(false);
    selector.register(socket, EVENT_READ, guest);
    tell("What is your name?\n", [guest]);
  });
}

function serve(guest: Guest, events: number): void {
  if (events & EVENT_WRITE) send(guest);
  if (events & EVENT_READ) receive(guest); // also after send(): the other guests may never stop
}

function receive(guest: Guest): void {
  const count = guest.socket.tryRecvInto(buffer);
  if (count === 0) return leave(guest, "left");
  const lines = (guest.line + guest.decoder.decode(buffer.subarray(0, count ?? 0), { stream: true })).split("\n");
  guest.line = lines.pop()!;
  let said = ""; // in one piece, because tell() makes a system call for each guest
  for (const line of lines) {
    const words = line.replaceAll(/\p{Cc}/gu, "").trim(); // no escape sequences for other terminals
    if (words === "") continue;
    if (guest.name !== "") said += `${guest.name}: ${words}\n`;
    else tell(`* ${guest.name = words.slice(0, 20)} is here, as one of ${guests.size}\n`, guests);
  }
  if (said !== "") tell(said, guests, guest);
  if (guest.line.length > LONGEST_LINE) leave(guest, "was disconnected: line too long");
}

function tell(words: string, listeners: Iterable<Guest>, speaker?: Guest): void {
  const data = new TextEncoder().encode(words);
  for (const guest of listeners) {
    if (guest === speaker) continue;
    guest.size += data.length;
    if (guest.unsent.push(data) === 1) attempt(guest, () => send(guest));
    if (guest.size > MOST_UNSENT) leave(guest, "was disconnected: too slow");
  }
}

function send(guest: Guest): void {
  const { socket, unsent } = guest;
  for (let data; (data = unsent.shift()) !== undefined;) {
    const sent = socket.trySend(data) ?? 0;
    guest.size -= sent;
    if (sent === data.length) continue;
    unsent.unshift(data.subarray(sent));
    break;
  }
  selector.modify(socket, unsent.length > 0 ? EVENT_READ | EVENT_WRITE : EVENT_READ, guest);
}

function leave(guest: Guest, how: string): void {
  if (!guests.delete(guest)) return;
  if (selector.getMap()!.has(guest.socket)) selector.unregister(guest.socket); // a failed modify() has done so
  guest.socket.close();
  if (guest.name !== "") farewells.push(`* ${guest.name} ${how}\n`);
}

/** Leaves new connections in the listener's queue for a second, because the system has no room for another. */
function pause(): void {
  if (selector.getMap()!.has(listener)) selector.unregister(listener);
  Deno.unrefTimer(setTimeout(() => selector.closed || attempt(null, listen), 1000));
}
