/**
 * Numbers of `<sys/socket.h>` and its kin, on each family of systems.
 *
 * @module
 */

import { type Os, os } from "./platform.ts";

/** What no option has: the system refuses it with ENOPROTOOPT. */
const NONE = 0x7fff_ffff;

/** Linux: asm-generic/socket.h, linux/in.h, linux/in6.h, linux/tcp.h, bits/socket.h, netdb.h. */
const LINUX = {
  AF_UNSPEC: 0,
  AF_UNIX: 1,
  AF_INET: 2,
  AF_INET6: 10,
  SOCK_STREAM: 1,
  SOCK_DGRAM: 2,
  SOCK_RAW: 3,
  SOCK_SEQPACKET: 5,
  SOCK_NONBLOCK: 0o4000,
  SOCK_CLOEXEC: 0o2000000,
  O_NONBLOCK: 0o4000,
  O_CLOEXEC: 0o2000000,
  SOMAXCONN: 4096,
  SOL_SOCKET: 1,
  SO_REUSEADDR: 2,
  SO_TYPE: 3,
  SO_ERROR: 4,
  SO_BROADCAST: 6,
  SO_SNDBUF: 7,
  SO_RCVBUF: 8,
  SO_KEEPALIVE: 9,
  SO_OOBINLINE: 10,
  SO_LINGER: 13,
  SO_REUSEPORT: 15,
  SO_EXCLUSIVEADDRUSE: NONE,
  SO_ACCEPTCONN: 30,
  SO_PROTOCOL: 38,
  IPPROTO_IP: 0,
  IPPROTO_ICMP: 1,
  IPPROTO_TCP: 6,
  IPPROTO_UDP: 17,
  IPPROTO_IPV6: 41,
  IPPROTO_ICMPV6: 58,
  IP_TTL: 2,
  IP_MULTICAST_IF: 32,
  IP_MULTICAST_TTL: 33,
  IP_MULTICAST_LOOP: 34,
  IP_ADD_MEMBERSHIP: 35,
  IP_DROP_MEMBERSHIP: 36,
  IPV6_UNICAST_HOPS: 16,
  IPV6_JOIN_GROUP: 20,
  IPV6_LEAVE_GROUP: 21,
  IPV6_V6ONLY: 26,
  TCP_NODELAY: 1,
  TCP_KEEPIDLE: 4,
  TCP_KEEPINTVL: 5,
  TCP_KEEPCNT: 6,
  MSG_OOB: 0x1,
  MSG_PEEK: 0x2,
  MSG_TRUNC: 0x20,
  MSG_DONTWAIT: 0x40,
  MSG_WAITALL: 0x100,
  MSG_NOSIGNAL: 0x4000,
  AI_PASSIVE: 0x1,
  AI_CANONNAME: 0x2,
  AI_NUMERICHOST: 0x4,
  AI_NUMERICSERV: 0x400,
};

type Constants = Readonly<Record<keyof typeof LINUX, number>>;

/** What the BSDs have in common, and most of it Solaris and Winsock too: sys/socket.h, netinet/in.h, netinet6/in6.h. */
const BSD: Constants = {
  AF_UNSPEC: 0,
  AF_UNIX: 1,
  AF_INET: 2,
  AF_INET6: 10,
  SOCK_STREAM: 1,
  SOCK_DGRAM: 2,
  SOCK_RAW: 3,
  SOCK_SEQPACKET: 5,
  SOCK_NONBLOCK: 0x2000_0000,
  SOCK_CLOEXEC: 0x1000_0000,
  O_NONBLOCK: 0x4,
  O_CLOEXEC: 0o2000000,
  SOMAXCONN: 128,
  SOL_SOCKET: 0xffff,
  SO_REUSEADDR: 0x0004,
  SO_TYPE: 0x1008,
  SO_ERROR: 0x1007,
  SO_BROADCAST: 0x0020,
  SO_SNDBUF: 0x1001,
  SO_RCVBUF: 0x1002,
  SO_KEEPALIVE: 0x0008,
  SO_OOBINLINE: 0x0100,
  SO_LINGER: 0x0080,
  SO_REUSEPORT: 0x0200,
  SO_EXCLUSIVEADDRUSE: NONE,
  SO_ACCEPTCONN: 0x0002,
  SO_PROTOCOL: NONE,
  IPPROTO_IP: 0,
  IPPROTO_ICMP: 1,
  IPPROTO_TCP: 6,
  IPPROTO_UDP: 17,
  IPPROTO_IPV6: 41,
  IPPROTO_ICMPV6: 58,
  IP_TTL: 4,
  IP_MULTICAST_IF: 9,
  IP_MULTICAST_TTL: 10,
  IP_MULTICAST_LOOP: 11,
  IP_ADD_MEMBERSHIP: 12,
  IP_DROP_MEMBERSHIP: 13,
  IPV6_UNICAST_HOPS: 4,
  IPV6_JOIN_GROUP: 12,
  IPV6_LEAVE_GROUP: 13,
  IPV6_V6ONLY: 27,
  TCP_NODELAY: 1,
  TCP_KEEPIDLE: 4,
  TCP_KEEPINTVL: 5,
  TCP_KEEPCNT: 6,
  MSG_OOB: 0x1,
  MSG_PEEK: 0x2,
  MSG_TRUNC: 0x10,
  MSG_DONTWAIT: 0x80,
  MSG_WAITALL: 0x40,
  MSG_NOSIGNAL: 0x4000,
  AI_PASSIVE: 0x1,
  AI_CANONNAME: 0x2,
  AI_NUMERICHOST: 0x4,
  AI_NUMERICSERV: 0x8,
};

/** macOS; SO_LINGER is SO_LINGER_SEC, since the other one counts in ticks, and TCP_KEEPIDLE is called TCP_KEEPALIVE. */
const DARWIN: Constants = {
  ...BSD,
  AF_INET6: 30,
  SOCK_NONBLOCK: 0,
  SOCK_CLOEXEC: 0,
  O_CLOEXEC: 0x100_0000,
  SO_LINGER: 0x1080,
  TCP_KEEPIDLE: 0x10,
  TCP_KEEPINTVL: 0x101,
  TCP_KEEPCNT: 0x102,
  MSG_NOSIGNAL: 0x8_0000,
  AI_NUMERICSERV: 0x1000,
};

/** FreeBSD. */
const FREEBSD: Constants = {
  ...BSD,
  AF_INET6: 28,
  O_CLOEXEC: 0x10_0000,
  SO_PROTOCOL: 0x1016,
  TCP_KEEPIDLE: 0x100,
  TCP_KEEPINTVL: 0x200,
  TCP_KEEPCNT: 0x400,
  MSG_NOSIGNAL: 0x2_0000,
};

/** NetBSD. */
const NETBSD: Constants = {
  ...BSD,
  AF_INET6: 24,
  O_CLOEXEC: 0x40_0000,
  TCP_KEEPIDLE: 3,
  MSG_NOSIGNAL: 0x400,
};

/** Solaris and illumos. */
const SOLARIS: Constants = {
  ...BSD,
  AF_INET6: 26,
  SOCK_STREAM: 2,
  SOCK_DGRAM: 1,
  SOCK_RAW: 4,
  SOCK_SEQPACKET: 6,
  SOCK_NONBLOCK: 0x10_0000,
  SOCK_CLOEXEC: 0x8_0000,
  O_NONBLOCK: 0x80,
  O_CLOEXEC: 0x80_0000,
  SO_REUSEPORT: 0x100e,
  SO_PROTOCOL: 0x1009,
  IP_MULTICAST_IF: 0x10,
  IP_MULTICAST_TTL: 0x11,
  IP_MULTICAST_LOOP: 0x12,
  IP_ADD_MEMBERSHIP: 0x13,
  IP_DROP_MEMBERSHIP: 0x14,
  IPV6_UNICAST_HOPS: 5,
  IPV6_JOIN_GROUP: 9,
  IPV6_LEAVE_GROUP: 10,
  IPV6_V6ONLY: 0x27,
  TCP_KEEPIDLE: 0x22,
  TCP_KEEPINTVL: 0x24,
  TCP_KEEPCNT: 0x23,
  MSG_NOSIGNAL: 0x200,
  AI_PASSIVE: 0x8,
  AI_CANONNAME: 0x10,
  AI_NUMERICHOST: 0x20,
  AI_NUMERICSERV: 0x40,
};

/** Winsock: winsock2.h, ws2def.h, ws2ipdef.h. What has no flag there has no bit. */
const WINDOWS: Constants = {
  ...BSD,
  AF_INET6: 23,
  SOCK_NONBLOCK: 0,
  SOCK_CLOEXEC: 0,
  O_NONBLOCK: 0,
  O_CLOEXEC: 0,
  SOMAXCONN: 0x7fff_ffff,
  SO_REUSEPORT: NONE,
  SO_EXCLUSIVEADDRUSE: ~0x0004,
  TCP_KEEPIDLE: 3,
  TCP_KEEPINTVL: 17,
  TCP_KEEPCNT: 16,
  MSG_TRUNC: 0x100,
  MSG_DONTWAIT: 0,
  MSG_WAITALL: 0x8,
  MSG_NOSIGNAL: 0,
};

/** The row of each system. */
const CONSTANTS: Readonly<Record<Os, Constants>> = {
  linux: LINUX,
  android: LINUX,
  darwin: DARWIN,
  freebsd: FREEBSD,
  netbsd: NETBSD,
  solaris: SOLARIS,
  illumos: SOLARIS,
  aix: BSD,
  windows: WINDOWS,
};

const constants = CONSTANTS[os];

/** What `socket`, `accept4` and `socketpair` take besides the type: do not block. */
export const SOCK_NONBLOCK: number = constants.SOCK_NONBLOCK;
/** What `socket`, `accept4` and `socketpair` take besides the type: close when another program is executed. */
export const SOCK_CLOEXEC: number = constants.SOCK_CLOEXEC;
/** Status flag of a descriptor: do not block. */
export const O_NONBLOCK: number = constants.O_NONBLOCK;
/** Flag of `pipe2`: close when another program is executed. */
export const O_CLOEXEC: number = constants.O_CLOEXEC;
/** Address family: any. */
export const AF_UNSPEC: number = constants.AF_UNSPEC;
/** Address family: paths on this machine. */
export const AF_UNIX: number = constants.AF_UNIX;
/** Address family: IPv4. */
export const AF_INET: number = constants.AF_INET;
/** Address family: IPv6. */
export const AF_INET6: number = constants.AF_INET6;
/** Socket type: a stream of bytes, as of TCP. */
export const SOCK_STREAM: number = constants.SOCK_STREAM;
/** Socket type: datagrams, as of UDP. */
export const SOCK_DGRAM: number = constants.SOCK_DGRAM;
/** Socket type: raw packets. */
export const SOCK_RAW: number = constants.SOCK_RAW;
/** Socket type: records in sequence. */
export const SOCK_SEQPACKET: number = constants.SOCK_SEQPACKET;
/** The longest queue of connections that `listen` is asked for. */
export const SOMAXCONN: number = constants.SOMAXCONN;
/** Level of the options `SO_*`. */
export const SOL_SOCKET: number = constants.SOL_SOCKET;
/** Option: bind to an address whose connections linger; on Windows, to one that another socket has: see `createServer`. */
export const SO_REUSEADDR: number = constants.SO_REUSEADDR;
/** Option, to read: the type of the socket. */
export const SO_TYPE: number = constants.SO_TYPE;
/** Option, to read: the pending error, which is cleared; how a `connect` ended. */
export const SO_ERROR: number = constants.SO_ERROR;
/** Option: send to broadcast addresses. */
export const SO_BROADCAST: number = constants.SO_BROADCAST;
/** Option: size of the send buffer, in bytes. */
export const SO_SNDBUF: number = constants.SO_SNDBUF;
/** Option: size of the receive buffer, in bytes. */
export const SO_RCVBUF: number = constants.SO_RCVBUF;
/** Option: probe whether the peer is alive. */
export const SO_KEEPALIVE: number = constants.SO_KEEPALIVE;
/** Option: leave urgent data in the stream. */
export const SO_OOBINLINE: number = constants.SO_OOBINLINE;
/** Option, two integers (of 16 bits on Windows, of 32 elsewhere): whether, and for how many seconds, `close` waits for what is not sent. */
export const SO_LINGER: number = constants.SO_LINGER;
/** Option: share an address among several sockets. */
export const SO_REUSEPORT: number = constants.SO_REUSEPORT;
/** Option of Windows: let no other socket have the address. */
export const SO_EXCLUSIVEADDRUSE: number = constants.SO_EXCLUSIVEADDRUSE;
/** Option, to read: whether the socket listens. */
export const SO_ACCEPTCONN: number = constants.SO_ACCEPTCONN;
/** Option, to read: the protocol of the socket. */
export const SO_PROTOCOL: number = constants.SO_PROTOCOL;
/** Protocol, and level of the options `IP_*`: IPv4. */
export const IPPROTO_IP: number = constants.IPPROTO_IP;
/** Protocol: ICMP. */
export const IPPROTO_ICMP: number = constants.IPPROTO_ICMP;
/** Protocol, and level of the options `TCP_*`: TCP. */
export const IPPROTO_TCP: number = constants.IPPROTO_TCP;
/** Protocol: UDP. */
export const IPPROTO_UDP: number = constants.IPPROTO_UDP;
/** Protocol, and level of the options `IPV6_*`: IPv6. */
export const IPPROTO_IPV6: number = constants.IPPROTO_IPV6;
/** Protocol: ICMPv6. */
export const IPPROTO_ICMPV6: number = constants.IPPROTO_ICMPV6;
/** Option: time to live of packets. */
export const IP_TTL: number = constants.IP_TTL;
/** Option: interface for multicast packets. */
export const IP_MULTICAST_IF: number = constants.IP_MULTICAST_IF;
/** Option: time to live of multicast packets. */
export const IP_MULTICAST_TTL: number = constants.IP_MULTICAST_TTL;
/** Option: see multicast packets of this machine. */
export const IP_MULTICAST_LOOP: number = constants.IP_MULTICAST_LOOP;
/** Option: join a multicast group. */
export const IP_ADD_MEMBERSHIP: number = constants.IP_ADD_MEMBERSHIP;
/** Option: leave a multicast group. */
export const IP_DROP_MEMBERSHIP: number = constants.IP_DROP_MEMBERSHIP;
/** Option: hop limit of packets. */
export const IPV6_UNICAST_HOPS: number = constants.IPV6_UNICAST_HOPS;
/** Option: join a multicast group. */
export const IPV6_JOIN_GROUP: number = constants.IPV6_JOIN_GROUP;
/** Option: leave a multicast group. */
export const IPV6_LEAVE_GROUP: number = constants.IPV6_LEAVE_GROUP;
/** Option: no IPv4 on this IPv6 socket. */
export const IPV6_V6ONLY: number = constants.IPV6_V6ONLY;
/** Option: send small segments at once. */
export const TCP_NODELAY: number = constants.TCP_NODELAY;
/** Option: seconds of silence before the first probe. */
export const TCP_KEEPIDLE: number = constants.TCP_KEEPIDLE;
/** Option: seconds between probes. */
export const TCP_KEEPINTVL: number = constants.TCP_KEEPINTVL;
/** Option: probes before the connection is given up. */
export const TCP_KEEPCNT: number = constants.TCP_KEEPCNT;
/** Flag: urgent data. */
export const MSG_OOB: number = constants.MSG_OOB;
/** Flag: leave what is read in the queue. */
export const MSG_PEEK: number = constants.MSG_PEEK;
/** Flag: give the true length of a datagram. */
export const MSG_TRUNC: number = constants.MSG_TRUNC;
/** Flag: do not block, this once. */
export const MSG_DONTWAIT: number = constants.MSG_DONTWAIT;
/** Flag: wait until the buffer is full. */
export const MSG_WAITALL: number = constants.MSG_WAITALL;
/** Flag: no SIGPIPE, which Deno ignores in any case. */
export const MSG_NOSIGNAL: number = constants.MSG_NOSIGNAL;
/** Flag of `getaddrinfo`: addresses to bind. */
export const AI_PASSIVE: number = constants.AI_PASSIVE;
/** Flag of `getaddrinfo`: give the canonical name too. */
export const AI_CANONNAME: number = constants.AI_CANONNAME;
/** Flag of `getaddrinfo`: resolve no names. */
export const AI_NUMERICHOST: number = constants.AI_NUMERICHOST;
/** Flag of `getaddrinfo`: the port is a number. */
export const AI_NUMERICSERV: number = constants.AI_NUMERICSERV;

/** Room for any address, as `struct sockaddr_storage` has it. */
export const SOCKADDR_STORAGE_SIZE = 128;

/** Tells whether an address of this system begins with its length (sa_len), as of the BSDs, macOS among them. */
export function hasLength(system: Os): boolean {
  return ["darwin", "freebsd", "netbsd", "aix"].includes(system);
}

/** Where the family is: a byte, or, without a length, two, of which the second is 0 for every family. */
const SA_FAMILY = hasLength(os) ? 1 : 0;

/** The family of an address that C has written. */
export function familyOf(sockaddr: Uint8Array): number {
  return sockaddr[SA_FAMILY]!;
}
