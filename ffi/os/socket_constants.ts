/**
 * Constants of `<sys/socket.h>` and related headers, with the values of this system.
 *
 * @module
 */

import { system } from "./systems.ts";

const { constants } = system;

/** Flag in the type for `socket` and `socketpair`, and in the flags for `accept4`: do not block. */
export const SOCK_NONBLOCK: number = constants.SOCK_NONBLOCK;
/** Flag in the type for `socket` and `socketpair`, and in the flags for `accept4`: close-on-exec. */
export const SOCK_CLOEXEC: number = constants.SOCK_CLOEXEC;
/** Status flag of a descriptor: do not block. */
export const O_NONBLOCK: number = constants.O_NONBLOCK;
/** Flag of `pipe2`: close-on-exec. */
export const O_CLOEXEC: number = constants.O_CLOEXEC;
/** Address family: any. */
export const AF_UNSPEC: number = constants.AF_UNSPEC;
/** Address family: paths on this machine. */
export const AF_UNIX: number = constants.AF_UNIX;
/** Address family: IPv4. */
export const AF_INET: number = constants.AF_INET;
/** Address family: IPv6. */
export const AF_INET6: number = constants.AF_INET6;
/** Socket type: a stream of bytes, as in TCP. */
export const SOCK_STREAM: number = constants.SOCK_STREAM;
/** Socket type: datagrams, as in UDP. */
export const SOCK_DGRAM: number = constants.SOCK_DGRAM;
/** Socket type: raw packets. */
export const SOCK_RAW: number = constants.SOCK_RAW;
/** Socket type: records in sequence. */
export const SOCK_SEQPACKET: number = constants.SOCK_SEQPACKET;
/** Largest backlog of `listen`. */
export const SOMAXCONN: number = constants.SOMAXCONN;
/** Level of the options `SO_*`. */
export const SOL_SOCKET: number = constants.SOL_SOCKET;
/**
 * Option: bind to an address even if closed connections linger there in TIME_WAIT; on Windows, even if another socket
 * is bound to the address: see `createServer`.
 */
export const SO_REUSEADDR: number = constants.SO_REUSEADDR;
/** Option, to read: the type of the socket. */
export const SO_TYPE: number = constants.SO_TYPE;
/** Option, to read: the pending error, for example of a `connect`; reading clears it. */
export const SO_ERROR: number = constants.SO_ERROR;
/** Option: send to broadcast addresses. */
export const SO_BROADCAST: number = constants.SO_BROADCAST;
/** Option: size of the send buffer, in bytes. */
export const SO_SNDBUF: number = constants.SO_SNDBUF;
/** Option: size of the receive buffer, in bytes. */
export const SO_RCVBUF: number = constants.SO_RCVBUF;
/** Option: send probes that detect a dead peer. */
export const SO_KEEPALIVE: number = constants.SO_KEEPALIVE;
/** Option: leave urgent data in the stream. */
export const SO_OOBINLINE: number = constants.SO_OOBINLINE;
/**
 * Option with two integers, which have 16 bits on Windows and 32 bits elsewhere: 1 if `close` waits until unsent data
 * is sent, and the longest wait in seconds.
 */
export const SO_LINGER: number = constants.SO_LINGER;
/** Option: share an address among several sockets. */
export const SO_REUSEPORT: number = constants.SO_REUSEPORT;
/** Option on Windows: reserve the address for this socket. */
export const SO_EXCLUSIVEADDRUSE: number = constants.SO_EXCLUSIVEADDRUSE;
/** Option, to read: 1 if the socket listens, or 0. */
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
/** Option: deliver multicast packets to this machine too. */
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
/** Option: reject IPv4 on this IPv6 socket. */
export const IPV6_V6ONLY: number = constants.IPV6_V6ONLY;
/** Option: send small segments at once. */
export const TCP_NODELAY: number = constants.TCP_NODELAY;
/** Option: seconds of silence before the first probe. */
export const TCP_KEEPIDLE: number = constants.TCP_KEEPIDLE;
/** Option: seconds between probes. */
export const TCP_KEEPINTVL: number = constants.TCP_KEEPINTVL;
/** Option: number of unanswered probes that end the connection. */
export const TCP_KEEPCNT: number = constants.TCP_KEEPCNT;
/** Flag: urgent data. */
export const MSG_OOB: number = constants.MSG_OOB;
/** Flag: leave the data in the queue. */
export const MSG_PEEK: number = constants.MSG_PEEK;
/** Flag: return the full length of a datagram. In a received message: its end was cut off. */
export const MSG_TRUNC: number = constants.MSG_TRUNC;
/** Flag of a received message: control messages were cut off or left out, because there was no room for them. */
export const MSG_CTRUNC: number = constants.MSG_CTRUNC;
/** Flag of a received message: it ends a record of SOCK_SEQPACKET. */
export const MSG_EOR: number = constants.MSG_EOR;
/** Flag of `recvmsg`: make received descriptors close-on-exec; 0 if the system does not have it. */
export const MSG_CMSG_CLOEXEC: number = constants.MSG_CMSG_CLOEXEC;
/** Type of a control message of level SOL_SOCKET: file descriptors. */
export const SCM_RIGHTS: number = constants.SCM_RIGHTS;
/** Flag: do not block in this call. */
export const MSG_DONTWAIT: number = constants.MSG_DONTWAIT;
/** Flag: wait until the buffer is full. */
export const MSG_WAITALL: number = constants.MSG_WAITALL;
/** Flag: do not raise SIGPIPE, which Deno ignores anyway. */
export const MSG_NOSIGNAL: number = constants.MSG_NOSIGNAL;
/** Flag of `getaddrinfo`: return addresses for `bind`. */
export const AI_PASSIVE: number = constants.AI_PASSIVE;
/** Flag of `getaddrinfo`: return the canonical name too. */
export const AI_CANONNAME: number = constants.AI_CANONNAME;
/** Flag of `getaddrinfo`: do not resolve names. */
export const AI_NUMERICHOST: number = constants.AI_NUMERICHOST;
/** Flag of `getaddrinfo`: the port is a number. */
export const AI_NUMERICSERV: number = constants.AI_NUMERICSERV;

/** Bytes that hold any address: the size of `struct sockaddr_storage`. */
export const SOCKADDR_STORAGE_SIZE = 128;

/** Offset of the family in a socket address: one byte after a length, or two bytes, of which the second is 0. */
const SA_FAMILY = system.sockaddr.hasLength ? 1 : 0;

/** Returns the family of a socket address that C has written. */
export function familyOf(sockaddr: Uint8Array): number {
  return sockaddr[SA_FAMILY]!;
}
