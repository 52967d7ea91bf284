/**
 * Runs a chat for a thousand guests in one thread; a slow guest does not delay the others.
 *
 * The server encodes each line once, queues it for every other guest, and sends as fast as each guest reads. It
 * disconnects a guest with more than a mebibyte in the queue.
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
const farewells: string[] = []; // sent after each event; sending one can make another guest leave
const selector = new DefaultSelector<Guest | null, Socket>();
const listener = createServer({ hostname: "127.0.0.1", port: Number(Deno.args[0] ?? 8001) });
listener.setBlocking(false);
listen();
const { port } = listener.getsockname();
console.log(`Chatting on port ${port}; try, in more than one terminal: nc 127.0.0.1 ${port}`);
Deno.addSignalListener("SIGINT", () => selector.close()); // ends the loop
for await (const [{ data: guest }, events] of selector) {
  attempt(guest, () => guest === null ? accept() : serve(guest, events));
  for (const words of farewells) tell(words, guests); // includes farewells that tell() adds
  farewells.length = 0;
}
console.log("Server shutting down"); // the exit closes all sockets

/** Calls a function for a guest; `null` stands for the listener. If it fails, disconnects the guest, or pauses. */
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
  if (events & EVENT_READ) receive(guest); // not `else`: EVENT_WRITE may come every time while the others talk
}

function receive(guest: Guest): void {
  const count = guest.socket.tryRecvInto(buffer);
  if (count === 0) return leave(guest, "left");
  const lines = (guest.line + guest.decoder.decode(buffer.subarray(0, count ?? 0), { stream: true })).split("\n");
  guest.line = lines.pop()!;
  let said = ""; // told at once, because tell() makes a system call for each guest
  for (const line of lines) {
    const words = line.replaceAll(/\p{Cc}/gu, "").trim(); // control characters could confuse other terminals
    if (words === "") continue;
    if (guest.name === "") {
      guest.name = words.slice(0, 20);
      tell(`* ${guest.name} joined; guests here: ${guests.size}\n`, guests);
    } else {
      said += `${guest.name}: ${words}\n`;
    }
  }
  if (said !== "") tell(said, guests, guest);
  if (guest.line.length > LONGEST_LINE) leave(guest, "was disconnected: line too long");
}

/** Sends words to all of an audience except the speaker. */
function tell(words: string, audience: Iterable<Guest>, speaker?: Guest): void {
  const data = new TextEncoder().encode(words);
  for (const guest of audience) {
    if (guest === speaker) continue;
    guest.size += data.length;
    if (guest.unsent.push(data) === 1) attempt(guest, () => send(guest));
    if (guest.size > MOST_UNSENT) leave(guest, "was disconnected: too slow");
  }
}

function send(guest: Guest): void {
  const { socket, unsent } = guest;
  while (unsent.length > 0) {
    const data = unsent.shift()!;
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
  // A failed modify() has already unregistered the socket. getMap() is null only after selector.close().
  if (selector.getMap()!.has(guest.socket)) selector.unregister(guest.socket);
  guest.socket.close();
  if (guest.name !== "") farewells.push(`* ${guest.name} ${how}\n`);
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
