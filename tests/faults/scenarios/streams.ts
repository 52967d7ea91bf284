/**
 * Scenarios for Web Streams.
 *
 * @module
 */

import { close, pipe, socketpair } from "../../../ffi/socket/mod.ts";
import { toReadableStream, toWritableStream } from "../../../selectors/streams.ts";
import type { Lab } from "../lab.ts";
import type { Scenario } from "./scenario.ts";

/** Exceeds the buffer of a pipe, so that both streams wait. */
const SIZE = 200_000;

/** Sends bytes through streams; the first error ends both streams. */
async function transfer(lab: Lab, from: number, to: number): Promise<void> {
  const writable = lab.try(() => toWritableStream(from));
  const readable = lab.try(() => toReadableStream(to));
  if (writable === undefined || readable === undefined) {
    for (const [stream, fd] of [[writable?.abort(), from], [readable?.cancel(), to]] as const) {
      if (stream === undefined) lab.try(() => close(fd));
      else await stream.catch((error) => lab.accept(error));
    }
    return;
  }
  const reading = new Response(readable).arrayBuffer();
  const writing = new Blob([new Uint8Array(SIZE)]).stream().pipeTo(writable);
  const [read, written] = await Promise.allSettled([reading, writing]);
  for (const end of [read, written]) {
    if (end.status === "rejected" && end.reason.code !== "EPIPE") lab.accept(end.reason);
  }
  if (read.status === "rejected" || written.status === "rejected") {
    return lab.assert(lab.fault !== null, "a stream fails");
  }
  lab.assert(read.value.byteLength === SIZE, `${read.value.byteLength} of ${SIZE} bytes arrive`);
}

/** The scenarios for streams. */
export const streams: Scenario[] = [
  {
    name: "streams of a pipe",
    async run(lab) {
      const [reader, writer] = lab.need(() => pipe());
      await transfer(lab, writer, reader);
    },
  },
  {
    name: "streams of a socket pair",
    async run(lab) {
      const [here, there] = lab.need(() => socketpair());
      await transfer(lab, here.detach(), there.detach());
    },
  },
];
