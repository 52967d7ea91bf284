/**
 * A chat for a thousand people in one thread, in which a slow one harms nobody.
 *
 * What someone says is queued for each of the others, as one array of bytes that all queues share, and sent as far as
 * each takes it. Who falls a mebibyte behind is put out. At Ctrl-C everybody is told.
 *
 * ```sh
 * deno run --allow-ffi jsr:@selectors/selectors/examples/chat-server 8001
 * ```
 *
 * @module
 */

import { DefaultSelector, EVENT_READ, EVENT_WRITE, OSError } from "../mod.ts";
import { createServer, type Socket } from "../ffi/socket.ts";

/** Someone who is connected: what they have typed of an unfinished line, and what they have not yet taken. */
type Guest = { socket: Socket; name: string; line: string; decoder: TextDecoder; unsent: Uint8Array[]; size: number };

const LONGEST_LINE = 4096;
const MOST_UNSENT = 1 << 20;

const buffer = new Uint8Array(64 * 1024);
const encoder = new TextEncoder();
const guests = new Set<Guest>();
const farewells: string[] = []; // said a moment later than meant: to say one can put out more
const selector = new DefaultSelector<Guest | null, Socket>();
const listener = createServer({ hostname: "127.0.0.1", port: Number(Deno.args[0] ?? 8001) });
listener.setBlocking(false);
selector.register(listener, EVENT_READ, null);
const { port } = listener.getsockname() as { port: number };
console.log(`Chatting on port ${port}; try, in more than one terminal: nc 127.0.0.1 ${port}`);

Deno.addSignalListener("SIGINT", () => {
  console.log("Server shutting down");
  say("* The chat is over");
  for (const socket of [listener, ...[...guests].map((guest) => guest.socket)]) socket.close();
  selector.close(); // ends the loop
});

for await (const [{ data: guest }, events] of selector) {
  if (guest === null) accept();
  else attempt(guest, events & EVENT_WRITE ? send : receive);
  for (let farewell; (farewell = farewells.shift()) !== undefined;) say(farewell);
}

function accept(): void {
  try {
    const socket = listener.tryAccept()?.[0];
    if (socket === undefined) return;
    socket.setBlocking(false);
    const guest = { socket, name: "", line: "", decoder: new TextDecoder(), unsent: [], size: 0 };
    selector.register(socket, EVENT_READ, guest);
    guests.add(guest);
    tell(guest, encoder.encode("What is your name?\n"));
  } catch (error) {
    if (!(error instanceof OSError)) throw error;
    console.log(error.message);
    selector.unregister(listener); // there is no descriptor for one more guest, until one leaves
  }
}

/** Does something that ends, where it fails, one guest's visit only. */
function attempt(guest: Guest, action: (guest: Guest) => void): void {
  try {
    action(guest);
  } catch (error) {
    if (!(error instanceof OSError)) throw error;
    leave(guest, `was lost (${error.code})`);
  }
}

function receive(guest: Guest): void {
  const count = guest.socket.tryRecvInto(buffer);
  if (count === 0) return leave(guest, "left");
  const lines = (guest.line + guest.decoder.decode(buffer.subarray(0, count ?? 0), { stream: true })).split("\n");
  guest.line = lines.pop()!;
  for (const line of lines) {
    const words = line.replaceAll(/\p{Cc}/gu, "").trim(); // no control of the others' terminals
    if (words === "") continue;
    if (guest.name !== "") say(`${guest.name}: ${words}`, guest);
    else say(`* ${guest.name = words.slice(0, 20)} is here, as one of ${guests.size}`);
  }
  if (guest.line.length > LONGEST_LINE) leave(guest, "was put out: too long a line");
}

function say(words: string, speaker?: Guest): void {
  const data = encoder.encode(`${words}\n`);
  for (const guest of guests) if (guest !== speaker) tell(guest, data);
}

function tell(guest: Guest, data: Uint8Array): void {
  guest.size += data.length;
  if (guest.size > MOST_UNSENT) return leave(guest, "was put out: too slow");
  if (guest.unsent.push(data) === 1) attempt(guest, send);
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
  if (!selector.getMap()!.has(listener)) selector.register(listener, EVENT_READ, null);
  if (guest.name !== "") farewells.push(`* ${guest.name} ${how}`);
}
