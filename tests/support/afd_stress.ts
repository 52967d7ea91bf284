/**
 * A stress test for polls of shared sockets. Readers change their registrations while senders write, in every kind of
 * wait.
 *
 * As a program, it also prints the findings for two selectors that wait for the same sockets at once.
 *
 * @module
 */

import { AfdSelector, type BaseSelector, EVENT_READ, EVENT_WRITE, MODE_ONCE, type Ready } from "../../mod.ts";
import { type Socket, socketpair } from "../../ffi/socket/mod.ts";

const BOTH = EVENT_READ | EVENT_WRITE;
const MASKS = [EVENT_READ, EVENT_WRITE, BOTH, EVENT_READ | MODE_ONCE, BOTH | MODE_ONCE];

/** Findings of a stress test; 0 in each if all is well. */
export interface Findings {
  /** Entries with events that were not registered. */
  confused: number;
  /** Entries for data that does not exist. */
  spurious: number;
  /** Sockets with data that no wait reported. */
  lost: number;
}

/** A reader, and the number of bytes that it has not received yet. */
export interface Reader {
  readonly here: Socket;
  readonly there: Socket;
  unread: number;
}

/** Returns a generator of numbers that depend only on the seed: 32-bit xorshift. */
function randomFrom(seed: number): (below: number) => number {
  let state = seed | 1;
  return (below) => {
    state ^= state << 13;
    state ^= state >>> 17;
    state ^= state << 5;
    return (state >>> 0) % below;
  };
}

/**
 * Sends to sockets and changes their registrations, between and during waits.
 *
 * @param make Makes a selector
 * @param selectors Number of selectors, each of which registers every socket
 */
export async function stress(
  make: () => BaseSelector<Reader, Socket>,
  { sockets = 32, rounds = 1_000, selectors = 1, seed = 1 },
): Promise<Findings> {
  const random = randomFrom(seed);
  const findings = { confused: 0, spurious: 0, lost: 0 };
  const readers = Array.from({ length: sockets }, (): Reader => {
    const [here, there] = socketpair();
    here.setBlocking(false);
    return { here, there, unread: 0 };
  });
  const all = Array.from({ length: selectors }, make);
  for (const selector of all) {
    for (const reader of readers) selector.register(reader.here, MASKS[random(MASKS.length)]!, reader);
  }
  const buffer = new Uint8Array(64);

  function receive(reader: Reader): boolean {
    const count = reader.here.tryRecvInto(buffer);
    reader.unread -= count ?? 0;
    return count !== null;
  }

  /** Receives most of the reported data. `isStale` allows for data that was received since the wait. */
  function take(ready: Ready<Reader, Socket>[], isStale: boolean): void {
    for (const [key, events] of ready) {
      if ((events & ~key.events) !== 0) findings.confused++;
      if ((events & EVENT_READ) !== 0 && random(4) > 0 && !receive(key.data) && !isStale) findings.spurious++;
    }
  }

  function send(): void {
    const reader = readers[random(sockets)]!;
    reader.unread += reader.there.send(buffer.subarray(0, 1 + random(3)));
  }

  function change(): void {
    const reader = readers[random(sockets)]!;
    const mask = MASKS[random(MASKS.length)]!;
    for (const selector of all) {
      if (random(3) > 0) {
        selector.modify(reader.here, mask, reader);
      } else {
        selector.unregister(reader.here);
        if (random(2) > 0) selector.select(0);
        selector.register(reader.here, mask, reader);
      }
    }
  }

  for (let round = 0; round < rounds; round++) {
    for (let times = random(6); times > 0; times--) send();
    for (let times = random(4); times > 0; times--) change();
    // Data that is read before the wait must not be reported.
    for (const reader of readers) if (reader.unread > 0 && random(4) === 0) receive(reader);
    const kind = random(3);
    if (kind === 0) {
      for (const selector of all) take(selector.select(0.001), selectors > 1);
      continue;
    }
    const waits = all.map((selector) => selector.selectAsync(0.01));
    await new Promise((resolve) => setTimeout(resolve, random(2)));
    send();
    if (kind === 1) {
      change();
      for (const selector of all) take(selector.select(0), selectors > 1);
    }
    for (const wait of waits) take(await wait, selectors > 1 || kind === 1);
  }
  // Every socket with data must be reported now.
  for (const selector of all) for (const reader of readers) selector.modify(reader.here, EVENT_READ, reader);
  for (let tries = 0; tries < 100 && readers.some(({ unread }) => unread > 0); tries++) {
    const found = new Set<Reader>();
    for (const selector of all) for (const [{ data }] of await selector.selectAsync(0.1)) found.add(data);
    for (const reader of found) receive(reader);
  }
  findings.lost = readers.filter(({ unread }) => unread > 0).length;
  for (const selector of all) selector.close();
  for (const { here, there } of readers) {
    here.close();
    there.close();
  }
  return findings;
}

if (import.meta.main) {
  for (const selectors of [1, 2]) {
    for (let seed = 1; seed <= 5; seed++) {
      const findings = await stress(() => new AfdSelector<Reader, Socket>(), { selectors, seed, rounds: 2_000 });
      console.log(`${selectors} selector(s) per socket, seed ${seed}:`, JSON.stringify(findings));
      if (selectors === 1 && Object.values(findings).some((count) => count > 0)) Deno.exit(1);
    }
  }
}
