/**
 * A chat for a thousand people in one thread, in which a slow one harms nobody.
 *
 * What someone says is queued for each of the others, as one array of bytes that all queues share, and sent as far as
 * each takes it. Who falls a mebibyte behind is put out.
 *
 * ```sh
 * deno run --allow-ffi jsr:@selectors/selectors/examples/chat-server 8001
 * ```
 *
 * @module
 */

import { DefaultSelector, EVENT_READ, EVENT_WRITE, OSError } from "../mod.ts";
import { createServer, type Socket } from "../ffi/socket/mod.ts";

/** Someone who is connected: what they have typed of an unfinished line, and what they have not yet taken. */
type Guest = { socket: Socket; name: string; line: string; decoder: TextDecoder; unsent: Uint8Array[]; size: number };

const LONGEST_LINE = 4096;
const MOST_UNSENT = 1 << 20;
const buffer = new Uint8Array(16 * 1024);
const guests = new Set<Guest>();
const farewells: string[] = []; // told a moment later: to tell one can make somebody leave
const selector = new DefaultSelector<Guest | null, Socket>();
const listener = createServer({ hostname: "127.0.0.1", port: Number(Deno.args[0] ?? 8001) });
listener.setBlocking(false);
selector.register(listener, EVENT_READ, null);
const { port } = listener.getsockname() as { port: number };
console.log(`Chatting on port ${port}; try, in more than one terminal: nc 127.0.0.1 ${port}`);
Deno.addSignalListener("SIGINT", () => selector.close()); // ends the loop
for await (const [{ data: guest }, events] of selector) {
  attempt(guest, events);
  for (let words; (words = farewells.shift()) !== undefined;) tell(words, guests);
}
console.log("Server shutting down"); // the end of the program closes what is open

/** Does what there is to do. Where it fails, it ends one guest's visit, and no other's. */
function attempt(guest: Guest | null, events: number): void {
  try {
    if (guest === null) return accept();
    if (events & EVENT_WRITE) send(guest);
    if (events & EVENT_READ) receive(guest); // also then: the others may never stop
  } catch (error) {
    if (!(error instanceof OSError)) throw error;
    console.log(error.message);
    if (guest === null) pause();
    else leave(guest, `was lost (${error.code})`);
  }
}

function accept(): void {
  const socket = listener.tryAccept()?.[0];
  if (socket === undefined) return;
  socket.setBlocking(false);
  const guest = { socket, name: "", line: "", decoder: new TextDecoder(), unsent: [], size: 0 };
  selector.register(socket, EVENT_READ, guest);
  guests.add(guest);
  tell("What is your name?\n", [guest]);
}

function receive(guest: Guest): void {
  const count = guest.socket.tryRecvInto(buffer);
  if (count === 0) return leave(guest, "left");
  const lines = (guest.line + guest.decoder.decode(buffer.subarray(0, count ?? 0), { stream: true })).split("\n");
  guest.line = lines.pop()!;
  let said = ""; // and told at once: each telling takes a system call for each guest
  for (const line of lines) {
    const words = line.replaceAll(/\p{Cc}/gu, "").trim(); // no control of the others' terminals
    if (words === "") continue;
    if (guest.name !== "") said += `${guest.name}: ${words}\n`;
    else tell(`* ${guest.name = words.slice(0, 20)} is here, as one of ${guests.size}\n`, guests);
  }
  if (said !== "") tell(said, guests, guest);
  if (guest.line.length > LONGEST_LINE) leave(guest, "was put out: too long a line");
}

function tell(words: string, listeners: Iterable<Guest>, speaker?: Guest): void {
  const data = new TextEncoder().encode(words);
  for (const guest of listeners) {
    if (guest === speaker) continue;
    guest.size += data.length;
    if (guest.unsent.push(data) === 1) attempt(guest, EVENT_WRITE);
    if (guest.size > MOST_UNSENT) leave(guest, "was put out: too slow");
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
  selector.unregister(guest.socket);
  guest.socket.close();
  if (guest.name !== "") farewells.push(`* ${guest.name} ${how}\n`);
}

/** Accepts nothing for a second: there is no descriptor for one more guest. */
function pause(): void {
  selector.unregister(listener);
  Deno.unrefTimer(setTimeout(() => selector.closed || selector.register(listener, EVENT_READ, null), 1000));
}
