/**
 * Messages with ancillary data: sendmsg(2), recvmsg(2), and the structs that they read and write.
 *
 * Windows is not supported, because Winsock's control messages cannot carry descriptors.
 *
 * ## Addresses
 *
 * A msghdr contains the addresses of other arrays. V8 does not move the memory of an array, but frees it once the
 * program cannot reach the array. So `fillHeader()` keeps the arrays until `releaseHeader()`. No code of the caller may
 * run between the two, because it could detach a buffer.
 *
 * @see {@link https://man7.org/linux/man-pages/man3/cmsg.3.html | cmsg(3)}
 *
 * @module
 */

import { byteLengthOf, checkSize } from "./arguments.ts";
import { errnoCell, lazyLibc, result } from "./call.ts";
import { type Bytes, setCloseOnExec } from "./posix.ts";
import { MSG_CMSG_CLOEXEC, SCM_RIGHTS, SOL_SOCKET } from "./socket_constants.ts";
import { os, type System, system } from "./systems.ts";

/**
 * Layout of
 *
 * struct iovec {
 *   void  *iov_base;  // +0
 *   size_t iov_len;   // +8
 * };                  // 16
 */
export const IOVEC = { size: 16, iov_base: 0, iov_len: 8 };

/** Layout of a msghdr. */
type Msghdr = Readonly<
  Record<
    | "size"
    | "msg_name"
    | "msg_namelen"
    | "msg_iov"
    | "msg_iovlen"
    | "msg_control"
    | "msg_controllen"
    | "msg_flags",
    number
  >
>;

/**
 * Returns the layout of
 *
 * struct msghdr {                  Linux       others
 *   void         *msg_name;        // +0       +0
 *   socklen_t     msg_namelen;     // +8       +8
 *   struct iovec *msg_iov;         // +16      +16
 *   size_t        msg_iovlen;      // +24      +24, an int
 *   void         *msg_control;     // +32      +32
 *   size_t        msg_controllen;  // +40      +40, a socklen_t
 *   int           msg_flags;       // +48      +44
 * };                               // 56       48
 *
 * The lower 32 bits of a size_t are enough, since the upper ones are 0.
 */
export function msghdrOf({ message }: System): Msghdr {
  return {
    msg_name: 0,
    msg_namelen: 8,
    msg_iov: 16,
    msg_iovlen: 24,
    msg_control: 32,
    msg_controllen: 40,
    ...(message.hasLongLengths ? { msg_flags: 48, size: 56 } : { msg_flags: 44, size: 48 }),
  };
}

/** Layout of a cmsghdr; `data` is the offset of the data, and both data and headers are aligned. */
type Cmsghdr = Readonly<Record<"size" | "cmsg_len" | "cmsg_level" | "cmsg_type" | "data" | "alignment", number>>;

/**
 * Returns the layout of
 *
 * struct cmsghdr {      Linux   FreeBSD, NetBSD on x86-64   others
 *   size_t cmsg_len;    // +0   +0, a socklen_t             +0, a socklen_t
 *   int    cmsg_level;  // +8   +4                          +4
 *   int    cmsg_type;   // +12  +8                          +8
 * };                    // 16   12                          12
 * // data               // +16  +16                         +12
 */
export function cmsghdrOf({ message: { hasLongLengths, alignment } }: System): Cmsghdr {
  const fields = hasLongLengths
    ? { size: 16, cmsg_len: 0, cmsg_level: 8, cmsg_type: 12 }
    : { size: 12, cmsg_len: 0, cmsg_level: 4, cmsg_type: 8 };
  return { ...fields, data: aligned(fields.size, alignment), alignment };
}

function aligned(size: number, alignment: number): number {
  return Math.ceil(size / alignment) * alignment;
}

/** Layout of a msghdr on this system. */
export const MSGHDR: Msghdr = msghdrOf(system);
/** Layout of a cmsghdr on this system. */
export const CMSGHDR: Cmsghdr = cmsghdrOf(system);

/**
 * Returns the length in bytes of an item of ancillary data with `size` bytes of data, without trailing padding.
 *
 * @param size Bytes of data
 * @throws {RangeError} if the result is not from 0 to `2^31-1`
 * @throws {TypeError} if `size` is not a number
 */
export function CMSG_LEN(size: number): number {
  checkSize(size);
  return checkSize(CMSGHDR.data + size);
}

/**
 * Returns the number of bytes that an item of ancillary data with `size` bytes of data occupies, with trailing padding.
 *
 * @param size Bytes of data
 * @throws {RangeError} if the result is not from 0 to `2^31-1`
 * @throws {TypeError} if `size` is not a number
 */
export function CMSG_SPACE(size: number): number {
  checkSize(size);
  return checkSize(CMSGHDR.data + aligned(size, CMSGHDR.alignment));
}

/**
 * An item of ancillary data: its level, its type, and its data.
 *
 * Ancillary data travels beside the bytes of a message, for example file descriptors over a Unix socket (level
 * SOL_SOCKET, type SCM_RIGHTS). {@linkcode Socket.prototype.sendFds | sendFds} and
 * {@linkcode Socket.prototype.recvFds | recvFds} are simpler for these.
 *
 * @see {@link https://man7.org/linux/man-pages/man3/cmsg.3.html | cmsg(3)}
 *
 * @typeParam Data Type of the data; received data is a `Uint8Array<ArrayBuffer>`
 */
export type ControlMessage<Data extends Uint8Array = Uint8Array> = [level: number, type: number, data: Data];

/** Returns the control messages as C reads them. */
export function encodeControl(messages: readonly ControlMessage[]): Uint8Array<ArrayBuffer> {
  const sizes = messages.map(([, , data]) => CMSG_SPACE(byteLengthOf(data)));
  const control = new Uint8Array(sizes.reduce((sum, size) => sum + size, 0));
  const view = new DataView(control.buffer);
  let at = 0;
  for (const [index, [level, type, data]] of messages.entries()) {
    view.setUint32(at + CMSGHDR.cmsg_len, CMSG_LEN(byteLengthOf(data)), true);
    view.setInt32(at + CMSGHDR.cmsg_level, level, true);
    view.setInt32(at + CMSGHDR.cmsg_type, type, true);
    control.set(data, at + CMSGHDR.data);
    at += sizes[index]!;
  }
  return control;
}

/**
 * Returns the control messages that C has written.
 *
 * The data of the last message is cut off if the array had no room for all of it.
 */
export function decodeControl(control: Uint8Array<ArrayBuffer>): ControlMessage<Uint8Array<ArrayBuffer>>[] {
  const messages: ControlMessage<Uint8Array<ArrayBuffer>>[] = [];
  const view = new DataView(control.buffer, control.byteOffset, control.byteLength);
  for (let at = 0; at + CMSGHDR.data <= control.length;) {
    const length = view.getUint32(at + CMSGHDR.cmsg_len, true);
    if (length < CMSGHDR.data) break; // not a header
    const [level, type] = [CMSGHDR.cmsg_level, CMSGHDR.cmsg_type].map((field) => view.getInt32(at + field, true));
    messages.push([level!, type!, control.slice(at + CMSGHDR.data, at + length)]);
    at += aligned(length, CMSGHDR.alignment);
  }
  return messages;
}

/** Returns the descriptors in control messages, except one that is cut off. */
export function descriptorsIn(messages: readonly ControlMessage<Uint8Array<ArrayBuffer>>[]): number[] {
  return messages.flatMap(([level, type, data]) => {
    if (level !== SOL_SOCKET || type !== SCM_RIGHTS) return [];
    return [...new Int32Array(data.buffer, data.byteOffset, data.byteLength >> 2)];
  });
}

const openLibc = lazyLibc({
  // ssize_t sendmsg(int sockfd, const struct msghdr *msg, int flags)
  sendmsg: { name: system.symbols.sendmsg ?? "sendmsg", parameters: ["i32", "buffer", "i32"], result: "i32" },
  // ssize_t recvmsg(int sockfd, struct msghdr *msg, int flags)
  recvmsg: { name: system.symbols.recvmsg ?? "recvmsg", parameters: ["i32", "buffer", "i32"], result: "i32" },
  // void *memmove(void *dest, const void *src, size_t n)
  memmove: { parameters: ["buffer", "buffer", "usize"], result: "usize" },
});

/** Opens the functions; the arguments are for the error on a system without them. */
function libc(action: string, name: string, replacement: string): ReturnType<typeof openLibc> {
  if (system.libraries.libc !== undefined) return openLibc();
  throw new Deno.errors.NotSupported(`Cannot ${action} a message: ${os} has no ${name}(); use ${replacement}`);
}

/** A message that recvmsg(2) has received. */
export interface Received {
  /** Length of the sender's address. */
  nameLength: number;
  /** Length of the control messages. */
  controlLength: number;
  /** MSG_* flags of the message. */
  flags: number;
}

/** Sends the bytes of several arrays as one message, with control messages, to an address or to the peer. */
export function sendmsg(
  fd: number,
  buffers: readonly Bytes[],
  control: Bytes | null,
  flags: number,
  sockaddr: Bytes | null,
): number {
  const { sendmsg } = libc("send", "sendmsg", "send() or sendTo()");
  const header = fillHeader(buffers, control, sockaddr);
  const count = result(sendmsg(fd, header, flags), errnoCell[0]!);
  releaseHeader();
  return count;
}

/** Receives a message into several arrays, with control messages and the sender's address. */
type Receive = (
  fd: number,
  buffers: readonly Bytes[],
  control: Uint8Array<ArrayBuffer> | null,
  flags: number,
  sockaddr: Bytes,
  received: Received,
) => number;

const receive: Receive = (fd, buffers, control, flags, sockaddr, received) => {
  const { recvmsg } = libc("receive", "recvmsg", "recv() or recvFrom()");
  const header = fillHeader(buffers, control, sockaddr);
  const count = result(recvmsg(fd, header, flags), errnoCell[0]!);
  releaseHeader();
  received.nameLength = header.getUint32(MSGHDR.msg_namelen, true);
  received.controlLength = header.getUint32(MSGHDR.msg_controllen, true);
  received.flags = header.getInt32(MSGHDR.msg_flags, true);
  return count;
};

const receiveAtOnce: Receive = (fd, buffers, control, flags, sockaddr, received) => {
  const count = receive(fd, buffers, control, flags | MSG_CMSG_CLOEXEC, sockaddr, received);
  if ((flags & MSG_CMSG_CLOEXEC) === 0) received.flags &= ~MSG_CMSG_CLOEXEC; // Linux returns the flag
  return count;
};

/** Receives a message, and sets close-on-exec with further calls: macOS does not have MSG_CMSG_CLOEXEC. */
export const receiveInSteps: Receive = (fd, buffers, control, flags, sockaddr, received) => {
  const count = receive(fd, buffers, control, flags, sockaddr, received);
  if (count < 0 || control === null) return count;
  descriptorsIn(decodeControl(control.subarray(0, received.controlLength))).forEach(setCloseOnExec);
  return count;
};

/** Receives a message, as {@linkcode Receive} describes; makes received descriptors close-on-exec. */
export const recvmsg: Receive = MSG_CMSG_CLOEXEC === 0 ? receiveInSteps : receiveAtOnce;

/** The arrays whose addresses are in {@linkcode header}. */
const kept: unknown[] = [];

/** The msghdr, which all calls share. */
const header = new DataView(new ArrayBuffer(MSGHDR.size));

/** Fills in a msghdr with the addresses of arrays, and returns it. */
function fillHeader(
  buffers: readonly Uint8Array[],
  control: Uint8Array | null,
  sockaddr: Uint8Array | null,
): DataView<ArrayBuffer> {
  const iov = new BigUint64Array(buffers.length * 2);
  kept.push(buffers, control, sockaddr, iov);
  buffers.forEach((buffer, index) => {
    iov[index * 2] = addressOf(buffer);
    iov[index * 2 + 1] = BigInt(byteLengthOf(buffer));
  });
  header.setBigUint64(MSGHDR.msg_iov, addressOf(iov), true);
  header.setUint32(MSGHDR.msg_iovlen, buffers.length, true);
  header.setBigUint64(MSGHDR.msg_name, sockaddr === null ? 0n : addressOf(sockaddr), true);
  header.setUint32(MSGHDR.msg_namelen, sockaddr === null ? 0 : byteLengthOf(sockaddr), true);
  header.setBigUint64(MSGHDR.msg_control, control === null ? 0n : addressOf(control), true);
  header.setUint32(MSGHDR.msg_controllen, control === null ? 0 : byteLengthOf(control), true);
  header.setInt32(MSGHDR.msg_flags, 0, true);
  return header;
}

/** Returns the address of an array, valid while the array lives: memmove() of 0 bytes returns it. */
function addressOf(array: ArrayBufferView): bigint {
  return openLibc().memmove(array, array, 0n);
}

/** Forgets the arrays of {@linkcode fillHeader}. */
function releaseHeader(): void {
  kept.length = 0;
}
